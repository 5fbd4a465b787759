"""Our own way, and Zarr's pipelines on the very bytes that it wrote."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import arraystore
from arraystore import reuse
from benchmarks.tables.base import Data, Query, Way, wanted_names, wanted_rows
from benchmarks.tables.installed import installed

PIPELINES = {
    "default": "zarr.core.codec_pipeline.BatchedCodecPipeline",
    "fused": "zarr.core.codec_pipeline.FusedCodecPipeline",
    "zarrs": "zarrs.ZarrsCodecPipeline",
}
KEY = ("venue", "table", "X")


def schema_of(data: Data) -> arraystore.Schema:
    """A schema of just these columns, in arrival order."""
    columns = [arraystore.Column(name="time", kind=arraystore.Kind.TIME)]
    for name, values in list(data.columns.items())[1:]:
        levels = values.shape[1] if values.ndim == 2 else None
        if name.endswith("_time"):
            columns.append(arraystore.Column(name=name, kind=arraystore.Kind.TIME))
        else:
            columns.append(arraystore.Column(name=name, dtype=values.dtype.name, levels=levels))
    return arraystore.Schema(name="table", order="arrival", columns=tuple(columns))


def new_dataset(place: Path, data: Data, *, profile: str = "dense") -> arraystore.Dataset:
    """An empty dataset in a new store."""
    return arraystore.open_store(place, role="data-quality", create=True).canonical.create(KEY, schema_of(data), profile=profile)


def write(place: Path, data: Data, *, profile: str = "dense") -> None:
    """One durable append."""
    new_dataset(place, data, profile=profile).append(data.columns, completeness="complete")


class Dataset:
    """A dataset that is open."""

    def __init__(self, place: Path) -> None:
        self.dataset = arraystore.open_store(place, role="backtesting").canonical[KEY]

    def read(self, query: Query) -> Any:
        return self.dataset.read(query.start, query.stop, query.columns)

    def arrays(self, result: Any) -> dict[str, np.ndarray]:
        return {name: plain(result[name]) for name in result}


class FreshDataset(Dataset):
    """The same, where no memory of earlier results is left to use again."""

    def read(self, query: Query) -> Any:
        reuse._idle.clear()
        return super().read(query)


class GivenDataset(Dataset):
    """The same, into arrays that are kept from one read to the next."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self._out: dict[tuple[str, ...] | None, dict[str, np.ndarray]] = {}

    def read(self, query: Query) -> Any:
        if query.start is not None:
            return super().read(query)
        if query.columns not in self._out:
            first = super().read(query)
            self._out[query.columns] = {name: np.array(first[name]) for name in first}
        return self.dataset.read(columns=query.columns, out=self._out[query.columns])


def plain(values: Any) -> np.ndarray:
    array = np.asarray(values)
    return array.view(np.int64) if array.dtype.kind == "M" else array


def segments(place: Path) -> list[Path]:
    """The Zarr groups of a dataset that is one segment a window."""
    dataset = Dataset(place).dataset
    base = Path(dataset.location.removeprefix("file://"))
    return [base / manifest.window / segment.segment for manifest in dataset.manifests() for segment in manifest.segments]


class Pipeline:
    """Zarr's own reader of our segments, one after another, through one of its codec pipelines."""

    def __init__(self, place: Path, pipeline: str) -> None:
        import zarr

        self._setting = {"codec_pipeline.path": PIPELINES[pipeline]}
        self._config = zarr.config
        with self._config.set(self._setting):
            groups = [zarr.open_group(segment, mode="r") for segment in segments(place)]
            self._segments: list[dict[str, Any]] = [{name: group[name] for name in group.array_keys()} for group in groups]
        times = [segment["time"][:] for segment in self._segments]
        self._starts = [0, *np.cumsum([len(time) for time in times]).tolist()]
        self._time = np.concatenate(times)

    def read(self, query: Query) -> dict[str, np.ndarray]:
        rows = wanted_rows(self._time, query)
        pieces: list[dict[str, np.ndarray]] = []
        with self._config.set(self._setting):
            for segment, start, stop in zip(self._segments, self._starts, self._starts[1:], strict=False):
                if start < rows.stop and rows.start < stop:
                    own = slice(max(rows.start - start, 0), min(rows.stop, stop) - start)
                    pieces.append({name: segment[name][own] for name in wanted_names(list(segment), query)})
        return pieces[0] if len(pieces) == 1 else {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}

    def arrays(self, result: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return result


def _pipeline(name: str) -> Callable[[Path], Pipeline]:
    return lambda place: Pipeline(place, name)


def ways() -> list[Way]:
    """Ours, and what others make of our bytes."""
    kept = {"kept": "arraystore", "write": write, "two_dimensional": True}
    pipelines = [name for name in PIPELINES if name != "zarrs" or installed("zarrs")]
    return [
        Way(name="arraystore", open=Dataset, group="ours", **kept),
        Way(name="arraystore, fresh memory", open=FreshDataset, group="fresh", **kept),
        Way(name="arraystore, out=", open=GivenDataset, group="given", **kept),
        *(Way(name=f"our bytes, Zarr {name} pipeline", open=_pipeline(name), group="zarr", **kept) for name in pipelines),
    ]
