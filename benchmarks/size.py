"""`size`: what a data set takes on disk, metadata and all, beside the decoded arrays and Parquet. Isolates layout and codecs."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import arraystore
from arraystore.demo.captures import inspect_captures
from arraystore.demo.recording import record
from benchmarks.data import Quotes, captures, xauusd

COLUMNS = {
    "rows": lambda size: f"{size.rows:,}",
    "bytes": lambda size: f"{size.bytes:,}",
    "times smaller": lambda size: f"{size.ratio:.2f}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Bytes of one data set, held by one contestant."""

    data: str
    contestant: str
    rows: int
    bytes: int
    decoded: int

    @property
    def ratio(self) -> float:
        """How many times smaller than the decoded arrays (of a capture: than its text)."""
        return self.decoded / self.bytes


def run(*, small: bool) -> list[Size]:
    """Every contestant on every data set; values are compared before sizes are told."""
    with tempfile.TemporaryDirectory() as folder:
        sizes = _quotes(xauusd(1 if small else None), Path(folder))
        for capture in captures()[: 1 if small else None]:
            sizes += _capture(capture, Path(folder))
    return sizes


def _quotes(quotes: Quotes, folder: Path) -> list[Size]:
    decoded = quotes.time.nbytes + quotes.bid.nbytes + quotes.ask.nbytes
    columns = {"time": quotes.time, "bid_price": quotes.bid, "ask_price": quotes.ask}
    sizes = [Size(data=quotes.name, contestant="decoded arrays", rows=len(quotes.time), bytes=decoded, decoded=decoded)]
    for profile in ("dense", "portable"):
        store = arraystore.open_store(folder / f"quotes-{profile}", role="data-quality", create=True)
        dataset = store.canonical.create(("vendor", "quotes", "X"), arraystore.SCHEMAS["quotes"](clock="exchange"), profile=profile)
        dataset.append({**columns, "flags": np.zeros(len(quotes.time), np.uint8)}, completeness="complete")
        frame = dataset.read()
        assert all(np.asarray(frame[name]).view(values.dtype).tobytes() == values.tobytes() for name, values in columns.items())
        total = tree_bytes(folder / f"quotes-{profile}" / "canonical")
        sizes.append(Size(data=quotes.name, contestant=f"arraystore {profile}", rows=len(quotes.time), bytes=total, decoded=decoded))
    for codec in ("snappy", "zstd"):
        path = folder / f"quotes-{codec}.parquet"
        pq.write_table(pa.table({**columns, "flags": np.zeros(len(quotes.time), np.uint8)}), path, compression=codec)
        sizes.append(
            Size(data=quotes.name, contestant=f"Parquet {codec}", rows=len(quotes.time), bytes=path.stat().st_size, decoded=decoded)
        )
    return sizes


def measure_capture(path: Path) -> list[Size]:
    """A capture recorded as the demo records it, beside its gzip original."""
    with tempfile.TemporaryDirectory() as folder:
        return _capture(path, Path(folder))


def _capture(path: Path, folder: Path) -> list[Size]:
    root = folder / path.stem
    store = arraystore.open_store(root, role="data-recording", create=True)
    (recorded,) = record(store, inspect_captures([path]), recorder="benchmark")  # the demo's recorder: the same appends as the main job
    frame = store.raw[recorded.key].read(columns=["payload"])
    text = frame.rows.arrays["payload"].nbytes + 21 * frame.row_count  # a line: 19 digits, a space, the payload, a line feed
    sizes = {"gzip, as captured": path.stat().st_size, "arraystore dense": tree_bytes(root / "raw")}
    return [Size(data=path.stem, contestant=name, rows=frame.row_count, bytes=size, decoded=text) for name, size in sizes.items()]


def tree_bytes(folder: Path) -> int:
    """Bytes of all files below, whatever they are for."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
