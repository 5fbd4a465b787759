"""`append`: durable appends: small beside a SQLite transaction and bare syncs, large beside files by hand. Isolates our overhead."""

import os
import sqlite3
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import numpy as np

import arraystore
from arraystore import Column, Kind, Schema
from arraystore.segments.codec import encode_chunk
from benchmarks.timing import TIMING_COLUMNS, Timing, by_turns
from layouts.chunking import CHUNK_BYTES, chunk_length
from layouts.codecs import codec_for

START = arraystore.parse_time("2024-08-08")
COLUMNS = TIMING_COLUMNS
SMALL_ROWS, SMALL_COLUMNS = 10, 8
LARGE_ROWS, LARGE_COLUMNS = 100_000, 6

type Data = dict[str, np.ndarray]


def schema_of(columns: int) -> Schema:
    """A time and so many floats less one, in arrival order."""
    floats = tuple(Column(name=f"value_{number}") for number in range(1, columns))
    return Schema(name="plain", order="arrival", columns=(Column(name="time", kind=Kind.TIME), *floats))


def some_rows(rows: int, columns: int, number: int) -> Data:
    """Prices on a grid of cents, seeded by the number, later than those of smaller numbers."""
    random = np.random.default_rng(number)
    data: Data = {"time": START + np.arange(number * rows, (number + 1) * rows) * 1_000}
    for column in range(1, columns):
        data[f"value_{column}"] = (6_000_000 + np.cumsum(random.integers(-5, 6, rows))) / 100
    return data


def new_dataset(place: Path, columns: int = SMALL_COLUMNS, name: str = "X") -> arraystore.Dataset:
    """A fresh dataset on disk."""
    store = arraystore.open_store(place, role="data-quality", create=True)
    return store.canonical.create(("venue", "plain", name), schema_of(columns))


class Sqlite:
    """One transaction an append: WAL, `synchronous=FULL`."""

    def __init__(self, place: Path, columns: int = SMALL_COLUMNS) -> None:
        self.path = place / "rows.sqlite"
        self._connection = sqlite3.connect(self.path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        named = ", ".join(["time INTEGER", *(f"value_{number} REAL" for number in range(1, columns))])
        self._connection.execute(f"CREATE TABLE IF NOT EXISTS rows ({named})")
        self._insert = f"INSERT INTO rows VALUES ({', '.join('?' * columns)})"

    def append(self, data: Data) -> None:
        """Insert the rows in one transaction."""
        rows = zip(*(column.tolist() for column in data.values()), strict=True)
        self._connection.execute("BEGIN")
        self._connection.executemany(self._insert, rows)
        self._connection.execute("COMMIT")

    def close(self) -> None:
        """Give the file back."""
        self._connection.close()


def run(*, small: bool) -> list[Timing]:
    """Both sizes, each by turns with what it is measured against."""
    with tempfile.TemporaryDirectory() as place:
        return _small(Path(place), 20 if small else 2_000) + _large(Path(place), 2 if small else 40)


def files_below(place: Path) -> list[Path]:
    """Every file of a store."""
    return [path for path in place.rglob("*") if path.is_file()]


def _small(place: Path, rounds: int) -> list[Timing]:
    dataset, database = new_dataset(place / "small"), Sqlite(place)
    batches = [some_rows(SMALL_ROWS, SMALL_COLUMNS, number) for number in range(rounds + 1)]
    dataset.append(batches[rounds])
    database.append(batches[rounds])
    (place / "bare").mkdir()
    log = place / "small" / "canonical" / "venue" / "plain" / "X" / "_log"
    bare = _bare_commit(place / "bare", (log / f"{2:020d}").stat().st_size)
    before = len(files_below(place / "small"))
    contestants: dict[str, Callable[[int], object]] = {
        "SQLite, WAL, synchronous=FULL": lambda number: database.append(batches[number]),
        "arraystore": lambda number: dataset.append(batches[number]),
        "the same bytes, two syncs, nothing else": bare,
    }
    taken = by_turns(contestants, rounds, block=20)
    database.close()
    assert dataset.rows == (rounds + 1) * SMALL_ROWS
    reference = taken["SQLite, WAL, synchronous=FULL"]
    each = (len(files_below(place / "small")) - before) / rounds
    told = {"arraystore": {"files": each, "goal": "≤ 3, ≤ 4 files"}}
    label = f"{SMALL_ROWS} rows × {SMALL_COLUMNS}"
    return [
        Timing(data=label, contestant=name, milliseconds=median, reference=reference, **told.get(name, {}))  # type: ignore[arg-type]
        for name, median in taken.items()
    ]


def _bare_commit(place: Path, size: int) -> Callable[[int], None]:
    """What the medium takes for a commit: a file without a name, written and synced, linked, its directory synced."""
    directory = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    data = os.urandom(size)

    def commit(number: int) -> None:
        fd = os.open(".", os.O_WRONLY | os.O_TMPFILE, 0o666, dir_fd=directory)
        os.write(fd, data)
        os.fsync(fd)  # noqa: TID251 - measured beside ours
        os.link(f"/proc/self/fd/{fd}", f"{number:020d}", src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=True)  # noqa: TID251
        os.close(fd)
        os.fsync(directory)  # noqa: TID251

    return commit


def _large(place: Path, rounds: int) -> list[Timing]:
    dataset = new_dataset(place / "large", LARGE_COLUMNS)
    batches = [some_rows(LARGE_ROWS, LARGE_COLUMNS, number) for number in range(rounds + 1)]
    known = set(files_below(place / "large"))
    dataset.append(batches[rounds])
    sizes = [path.stat().st_size for path in files_below(place / "large") if path not in known and "_log" not in path.parts]
    hand = _ByHand(place / "hand", sizes)
    contestants: dict[str, Callable[[int], object]] = {
        "by hand: encode, write and sync each file, then its directory": lambda number: hand.append(batches[number], syncs=1),
        "by hand, encoding on all processors, 8 syncs at once": lambda number: hand.append(batches[number], syncs=8),
        "arraystore": lambda number: dataset.append(batches[number]),
    }
    taken = by_turns(contestants, rounds)
    reference = next(iter(taken.values()))
    told = {"arraystore": {"files": len(sizes) + 1, "bytes": sum(sizes), "goal": "≤ 2"}}
    label = f"{LARGE_ROWS:,} rows × {LARGE_COLUMNS}"
    return [
        Timing(data=label, contestant=name, milliseconds=median, reference=reference, **told.get(name, {}))  # type: ignore[arg-type]
        for name, median in taken.items()
    ]


class _ByHand:
    """Encodes with the same codecs, and writes files of the sizes that a segment has."""

    def __init__(self, place: Path, sizes: list[int]) -> None:
        place.mkdir()
        self._place, self._sizes = place, sizes
        self._noise = os.urandom(max(sizes))
        self._numbers = count()

    def append(self, data: Data, *, syncs: int) -> None:
        folder = self._place / str(next(self._numbers))
        folder.mkdir()
        chunks = [chunk for column in data.values() for chunk in _chunks(column)]
        if syncs == 1:
            encoded = list(map(_encode, chunks))
            for number, size in enumerate(self._sizes):
                self._write(folder / str(number), size)
        else:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                encoded = list(pool.map(_encode, chunks))
            with ThreadPoolExecutor(syncs) as pool:
                list(pool.map(lambda each: self._write(folder / str(each[0]), each[1]), enumerate(self._sizes)))
        assert len(encoded) == len(chunks)
        for directory in (folder, self._place):
            fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
            os.fsync(fd)  # noqa: TID251
            os.close(fd)

    def _write(self, path: Path, size: int) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        os.write(fd, self._noise[:size])
        os.fsync(fd)  # noqa: TID251
        os.close(fd)


def _chunks(column: np.ndarray) -> list[np.ndarray]:
    length = chunk_length(len(column), column.itemsize, CHUNK_BYTES)
    return [column[start : start + length] for start in range(0, len(column), length)]


def _encode(chunk: np.ndarray) -> bytes:
    return encode_chunk(codec_for("dense", chunk.dtype.name), chunk)[0]
