"""How much a dataset holds, and from when to when it reaches."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from layouts.times import format_time
from layouts.windows import WindowLength

if TYPE_CHECKING:
    from arraystore.datasets.view import DatasetView
    from arraystore.versions.commit import Interval

__all__ = ["extent", "span"]


def extent(dataset: "DatasetView") -> dict[str, Any]:
    """Windows, rows, bytes, files, first and last time, as JSON types."""
    times = span(dataset)
    files = dataset.artifacts().values()
    return {
        "windows": len(dataset.windows()),
        "rows": dataset.rows,
        "bytes": dataset.bytes + sum(file.size for file in files),
        "files": len(files),
        "first": format_time(times[0]) if times else None,
        "last": format_time(times[1]) if times else None,
    }


def span(dataset: "DatasetView") -> "Interval | None":
    """First and last time on the axis clock; None where there are no rows."""
    windows = dataset.windows()
    if not windows:
        return None
    if dataset.schema_of(windows[0]).window is WindowLength.WHOLE:
        spans = [found for name in windows if (found := _first_span(dataset, [name]))]
        return (min(first for first, _ in spans), max(last for _, last in spans)) if spans else None
    # Windows follow each other in time: only those at both ends need their manifests read.
    earliest, latest = _first_span(dataset, windows), _first_span(dataset, reversed(windows))
    return (earliest[0], latest[1]) if earliest and latest else None


def _first_span(dataset: "DatasetView", windows: Iterable[str]) -> "Interval | None":
    """The span of the first of these windows that has rows."""
    for name in windows:
        found = dataset.manifest(name).clocks.get(dataset.schema_of(name).axis)
        if found:
            return found
    return None
