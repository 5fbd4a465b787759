"""A dataset goes out to a file and comes in again by the command line."""

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner, Result

import arraystore
from arraystore.cli import main
from arraystore.testing.strategies import differences

TRADES = "canonical/binance-usdm/trades/BTC=2FUSDT"


@pytest.fixture
def copy(store_root: Path, tmp_path: Path) -> Path:
    """The store, to be changed."""
    return Path(shutil.copytree(store_root, tmp_path / "store"))


def command(root: Path, *args: str, role: str = "data-quality") -> Result:
    return CliRunner().invoke(main, [*args, "--root", str(root), "--role", role], prog_name="arraystore")


def test_an_export_comes_back_under_another_key(copy: Path, tmp_path: Path) -> None:
    path = str(tmp_path / "trades.h5")
    done = command(copy, "export-hdf5", TRADES, "-o", path)
    assert done.exit_code == 0, done.output
    assert path in done.stdout
    refused = command(copy, "export-hdf5", TRADES, "-o", path)
    assert refused.exit_code != 0
    assert "overwrite" in refused.output
    other = "canonical/other/trades/BTC=2FUSDT"
    dry = command(copy, "import-hdf5", path, other, "--dry-run")
    assert "would be version 2" in dry.stdout
    canonical = arraystore.open_store(copy, role="data-quality").canonical
    assert ("other", "trades", "BTC/USDT") not in canonical
    assert json.loads(command(copy, "import-hdf5", path, other, "--json").stdout)["version"] == 2
    before, after = canonical["binance-usdm", "trades", "BTC/USDT"], canonical["other", "trades", "BTC/USDT"]
    assert differences(after.read().rows, before.read().rows) == []


def test_a_class_a_range_and_columns_go_out(copy: Path, tmp_path: Path) -> None:
    path = tmp_path / "some.h5"
    options = ("--start", "2024-08-08", "--end", "2024-08-09", "--columns", "time,price", "--json")
    told = json.loads(command(copy, "export-hdf5", TRADES, "-o", str(path), *options).stdout)
    with h5py.File(path) as file:
        assert sorted(file) == ["price", "time"]
        assert told["rows"] == {"/": len(file["price"])}
    nothing = command(copy, "export-hdf5", "canonical/nobody", "-o", str(tmp_path / "none.h5"))
    assert "arraystore ls" in nothing.output
    assert not (tmp_path / "none.h5").exists()


def test_datasets_of_another_maker_come_in_by_options(copy: Path, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["t"], file["p"], file["s"] = np.arange(5), np.arange(5.0), np.ones(5)
        file["side"], file["flags"] = np.ones(5, np.int8), np.zeros(5, np.uint8)
    maps = [option for pair in ("time=t", "price=p", "size=s", "side=side", "flags=flags") for option in ("--map", pair)]
    given = (str(tmp_path / "other.h5"), "canonical/vendor/trades/X", *maps, "--time", "time=s", "--schema", "trades")
    done = command(copy, "import-hdf5", *given)
    assert done.exit_code == 0, done.output
    times = arraystore.open_store(copy, role="analysis").canonical["vendor", "trades", "X"].read(columns=["time"])["time"]
    assert times.view(np.int64).tolist() == [number * 10**9 for number in range(5)]
    assert "COLUMN=" in command(copy, "import-hdf5", *given, "--map", "nothing").output


@pytest.mark.parametrize("watched", [True, False])
def test_who_watches_sees_how_many_rows_went_and_how_fast(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, watched: bool
) -> None:
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda stream: watched and stream.name == "<stderr>")
    monkeypatch.setattr("arraystore.cli.progress.PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr("arraystore.cli.progress.REFRESH_SECONDS", 0.0)
    path, other = str(tmp_path / "trades.h5"), "canonical/other/trades/BTC=2FUSDT"
    rows = arraystore.open_store(copy, role="data-quality").canonical["binance-usdm", "trades", "BTC/USDT"].rows
    for done in (command(copy, "export-hdf5", TRADES, "-o", path), command(copy, "import-hdf5", path, other)):
        assert done.exit_code == 0, done.output
        assert (f"100%  {rows:,} of {rows:,} rows  " in done.stderr) is watched
        assert ("rows/s" in done.stderr) is watched
        assert "rows/s" not in done.stdout


def test_a_dataset_writes_itself(copy: Path, tmp_path: Path) -> None:
    dataset = arraystore.open_store(copy, role="analysis").canonical["binance-usdm", "trades", "BTC/USDT"]
    assert dataset.to_hdf5(tmp_path / "all.h5", flavor="fast").rows == {"/": dataset.rows}
    some = dataset.to_hdf5(tmp_path / "some.h5", "2024-08-08", "2024-08-09", ["price"])
    with h5py.File(tmp_path / "some.h5") as file:
        assert list(file) == ["price", "time"]
        assert len(file["price"]) == some.rows["/"] == dataset.read("2024-08-08", "2024-08-09").row_count
    with pytest.raises(arraystore.AlreadyExists):
        dataset.to_hdf5(tmp_path / "all.h5")
