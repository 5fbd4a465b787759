"""What lies where in the end, told by the one role that reads everything."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

import arraystore
from arraystore.demo.captures import Capture
from arraystore.demo.recording import Recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassTotals:
    """One storage class: `bytes` as stored, of current segments; `decoded_bytes` of the same rows in memory, nulls left out."""

    storage_class: str
    datasets: int
    windows: int
    rows: int
    bytes: int
    decoded_bytes: int

    @property
    def ratio(self) -> float:
        """How many times smaller the rows are on disk."""
        return self.decoded_bytes / self.bytes if self.bytes else 0.0

    def to_json(self) -> dict[str, object]:
        """Plain JSON types."""
        return {**asdict(self), "ratio": round(self.ratio, 2)}


@dataclass(frozen=True, slots=True, kw_only=True)
class RawSize:
    """The captures of one raw dataset: bytes of the gzip files, and of the windows that hold the same bytes."""

    key: tuple[str, ...]
    file_bytes: int
    stored_bytes: int


def surfaces(store: arraystore.Store) -> list[arraystore.Surface]:
    """All six."""
    return [store.surface(storage_class) for storage_class in arraystore.StorageClass]


def class_totals(store: arraystore.Store) -> list[ClassTotals]:
    """Totals of every class; reads every row."""
    totals = []
    for surface in surfaces(store):
        datasets = [surface[key] for key in surface.find()]
        totals.append(
            ClassTotals(
                storage_class=surface.storage_class,
                datasets=len(datasets),
                windows=sum(len(dataset.windows()) for dataset in datasets),
                rows=sum(dataset.rows for dataset in datasets),
                bytes=sum(dataset.bytes for dataset in datasets),
                decoded_bytes=sum(decoded_bytes(frame) for dataset in datasets for frame in _frames(dataset)),
            )
        )
    return totals


def _frames(dataset: arraystore.Dataset) -> Iterator[arraystore.Frame]:
    return (dataset.read(window=window) for window in dataset.windows() if dataset.manifest(window).rows)


def decoded_bytes(frame: arraystore.Frame) -> int:
    """The bytes of a frame's columns in memory, without those that are null throughout."""
    total = 0
    for name, values in frame.items():
        valid = frame.valid(name)
        if valid is not None and not valid.any():
            continue
        match values:
            case arraystore.Ragged():
                total += values.nbytes + 4 * len(values)
            case arraystore.Labels():
                total += values.codes.nbytes
            case arraystore.Decimals():
                total += values.mantissa.nbytes
            case np.ndarray():
                total += values.nbytes
        total += 0 if valid is None else len(valid)
    return total


def raw_sizes(store: arraystore.Store, recorded: Sequence[Recorded], captures: Sequence[Capture]) -> list[RawSize]:
    """Each raw dataset that holds just these captures, beside the files it came from."""
    sizes = []
    for item in recorded:
        files = [capture for capture in captures if capture.feed == item.key[1]]
        dataset = store.raw[item.key]
        if dataset.rows == sum(capture.lines for capture in files):
            file_bytes = sum(capture.file_bytes for capture in files)
            sizes.append(RawSize(key=item.key, file_bytes=file_bytes, stored_bytes=dataset.bytes))
    return sizes
