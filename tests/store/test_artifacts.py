"""Files of any size beside the rows of every class: streamed in, read in ranges, and never another byte than was written."""

import errno
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import arraystore
from tests.store.big_file import KEY, MIB, NAME, BigFile, content
from tests.store.conftest import OpenAs

CLASSES = {
    "raw": ("data-recording", ("venue", "feed", "recorder"), "data-quality"),
    "canonical": ("data-quality", ("venue", "trades", "BTCUSDT"), "backtesting"),
    "derived": ("analysis", KEY, "live"),
    "quarantine": ("data-quality", ("venue", "trades", "BTCUSDT"), "operations"),
    "experiments": ("backtesting", ("sweep", "r1"), "analysis"),
    "execution-records": ("live", ("live", "session", "fills"), "analysis"),
}
PROJECT = Path(__file__).parents[2]
SIZE = 2 * MIB + 4_321


@pytest.mark.parametrize("storage_class", CLASSES)
def test_every_class_keeps_files(open_as: OpenAs, storage_class: str) -> None:
    writer, key, reader = CLASSES[storage_class]
    schema = None if storage_class == "experiments" else arraystore.schema_by_name("fills")
    dataset = open_as(writer).surface(storage_class).create(key, schema)
    first = dataset.add_file(BigFile(SIZE), NAME)
    assert (first.bytes, first.media_type) == (SIZE, "application/octet-stream")
    before = dataset.pin()
    dataset.add_file(b"the next model", NAME)

    # Any range of any version, to whom the class may be read by, and to nobody else.
    store = open_as(reader)
    artifact = store.open_pin(before).artifacts()[NAME]
    for start, stop in ((0, 1), (MIB - 3, MIB + 3), (5, SIZE), (SIZE - 1, SIZE), (7, 7), (SIZE, SIZE + 9), (0, 3 * MIB)):
        assert artifact.read_range(start, stop) == content(start, min(stop, SIZE))
    assert b"".join(artifact.blocks()) == content(0, SIZE)
    assert artifact.verify() == []
    assert store.surface(storage_class)[key].artifacts()[NAME].read() == b"the next model"
    if storage_class != "canonical":
        stranger = "data-recording" if storage_class != "raw" else "live"
        with pytest.raises(arraystore.AccessDenied):
            open_as(stranger).surface(storage_class)[key].artifacts()
    with pytest.raises(arraystore.InvalidInput, match=f"isn't a range of an artifact of {SIZE} bytes"):
        artifact.read_range(9, 8)


@pytest.fixture
def dataset(root: Path) -> arraystore.Dataset:
    return arraystore.open_store(root, role="analysis").derived.create(KEY, arraystore.schema_by_name("trades"))


def test_a_flipped_byte_is_found_by_whatever_reads_it_and_by_verify(dataset: arraystore.Dataset) -> None:
    dataset.add_file(BigFile(SIZE), NAME)
    flip(dataset, MIB + 17)
    artifact = dataset.artifacts()[NAME]
    assert artifact.read_range(0, MIB) == content(0, MIB)
    assert artifact.read_range(2 * MIB, SIZE) == content(2 * MIB, SIZE)
    for start, stop in ((MIB + 17, MIB + 18), (MIB - 1, MIB + 1), (0, SIZE)):
        with pytest.raises(arraystore.Corrupt, match=f"bytes {MIB} to {2 * MIB} of artifact '{NAME}'"):
            artifact.read_range(start, stop)
    assert [finding for finding in dataset.verify(deep=True) if NAME in str(finding)]


def flip(dataset: arraystore.Dataset, place: int) -> None:
    """One bit of the newest file, on disk."""
    (path,) = Path(dataset.location).glob(f"_artifacts/{dataset.artifacts()[NAME].entry.artifact}/data")
    with path.open("r+b") as file:
        file.seek(place)
        (byte,) = file.read(1)
        file.seek(place)
        file.write(bytes([byte ^ 16]))


def test_a_source_that_fails_half_way_leaves_nothing(dataset: arraystore.Dataset) -> None:
    class Broken(BigFile):
        def read(self, count: int = -1) -> bytes:
            if self.position > MIB:
                raise OSError("the network is gone")
            return super().read(count)

    with pytest.raises(arraystore.InvalidInput, match="the network is gone"):
        dataset.add_file(Broken(SIZE), NAME)
    assert dataset.refresh().artifacts() == {}
    assert dataset.version == 1
    assert [path for path in Path(dataset.location).rglob("data") if path.is_file()] == []


def run(what: str, root: Path, size: int) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.store.big_file", what, str(root), str(size)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_three_gigabytes_in_bounded_memory(root: Path) -> None:
    size = 3 << 30

    # One is killed in the middle of it: nobody sees anything of that.
    with subprocess.Popen(
        [sys.executable, "-m", "tests.store.big_file", "add", str(root), str(size)], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        while int(process.stdout.readline()) < 1_536:
            pass
        process.kill()
    dataset = arraystore.open_store(root, role="analysis").derived[KEY]
    assert set(dataset.artifacts()) == {"small.bin"}
    assert dataset.verify(deep=True) == []

    # The next one succeeds, in no more memory than a small one.
    for what in ("copy", "add", "read"):
        told = run(what, root, size)
        print(what, told)  # noqa: T201 - measured
        assert told["peak_growth_MiB"] < 64

    # Any range of it is there; a flipped byte in the third gigabyte is found where it is, and nowhere else.
    artifact = dataset.refresh().artifacts()[NAME]
    for start in np.random.default_rng(5).integers(0, size - 4 * MIB, 40).tolist():
        assert artifact.read_range(start, start + 2 * MIB + 5) == content(start, start + 2 * MIB + 5)
    place = (5 << 29) + 12_345
    flip(dataset, place)
    assert artifact.read_range(place - 4 * MIB, place - MIB) == content(place - 4 * MIB, place - MIB)
    with pytest.raises(arraystore.Corrupt, match=NAME):
        artifact.read_range(place, place + 1)
    assert artifact.verify()


def test_a_system_whose_table_of_types_cannot_be_read_knows_none(trades: arraystore.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(name: str) -> None:
        raise OSError(errno.EMFILE, name)

    monkeypatch.setattr("mimetypes.guess_type", unreadable)
    assert trades.add_file(b"x", "report.html").media_type == "application/octet-stream"
    monkeypatch.undo()
    assert trades.add_file(b"x", "report.html").media_type == "text/html"
