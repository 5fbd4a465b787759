"""The sizes we claim, on the recordings themselves."""

from pathlib import Path

import pytest

from benchmarks import size
from benchmarks.data import captures
from benchmarks.frame import Setting


@pytest.fixture(scope="module")
def sizes(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[size.Size]:
    assert shared_data.is_dir()
    setting = Setting(small=True, cache=tmp_path_factory.mktemp("built"), only=("zstd, PyArrow",))
    return size.recorded(setting, tmp_path_factory.mktemp("recorded")) + [
        each for path in captures()[1:] for each in size.measure_capture(path)
    ]


def of(sizes: list[size.Size], data: str, contestant: str) -> size.Size:
    (found,) = (each for each in sizes if (each.data, each.contestant) == (data, contestant))
    return found


def test_quotes_are_five_times_smaller_than_arrays_and_half_of_parquet_zstd(sizes: list[size.Size]) -> None:
    ours = of(sizes, "XAUUSD", "arraystore dense")
    assert ours.ratio >= 5
    assert ours.bytes * 2 <= of(sizes, "XAUUSD", "Parquet zstd").bytes


def test_each_capture_takes_no_more_than_its_gzip_original(sizes: list[size.Size]) -> None:
    names = {path.stem for path in captures()}
    assert names
    for name in names:
        assert of(sizes, name, "arraystore dense").bytes <= of(sizes, name, "gzip, as captured").bytes
