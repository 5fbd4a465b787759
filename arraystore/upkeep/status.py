"""`status`: what each class holds and how it is, from what is known without looking at all of it; as a table's rows, and for Prometheus."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from arraystore.classes.surface import Surface
from arraystore.errors import ArrayStoreError, NotFound
from arraystore.findings import Finding, finding
from arraystore.upkeep.garbage import Collector
from arraystore.versions.commit import Interval
from arraystore.versions.entry import Entry, entry_of
from layouts.retention import retention_of
from layouts.times import format_time

FAILED_STATES = ("failed", "abandoned")


class ClassStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A class in numbers.

    `bytes` are those of the newest versions; `span` is the first and the last time of their rows (ns since 1970 UTC; those of runs left
    out); `last_commit` is ns since 1970 UTC (0: none); `unfinished` counts windows that aren't complete, `states` datasets by the state
    that they tell of themselves (experiment runs do); `unreadable` are datasets that can't be
    opened. `garbage` and `garbage_bytes` are what `gc` would remove now; None if that wasn't looked for.
    """

    storage_class: str
    datasets: int = 0
    windows: int = 0
    rows: int = 0
    bytes: int = 0
    last_commit: int = 0
    unfinished: int = 0
    span: Interval | None = None
    states: Mapping[str, int] = {}
    unreadable: tuple[Finding, ...] = ()
    garbage: int | None = None
    garbage_bytes: int | None = None

    @property
    def failures(self) -> int:
        """Datasets that can't be opened, and runs that failed or were abandoned."""
        return len(self.unreadable) + sum(self.states.get(state, 0) for state in FAILED_STATES)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, times as ISO-8601 UTC."""
        built: dict[str, Any] = msgspec.to_builtins(self)
        span = None if self.span is None else [format_time(time) for time in self.span]
        last_commit = format_time(self.last_commit) if self.last_commit else None
        return built | {"last_commit": last_commit, "span": span, "failures": self.failures}


def class_status(surface: Surface, role: str, *, deep: bool) -> ClassStatus:
    """A class as the catalog knows it; a dataset that can't be opened is told, and the others are counted."""
    entries, unreadable = _entries(surface)
    garbage = [item for garbage in _garbage(surface, role) for item in garbage] if deep else None
    return ClassStatus(
        storage_class=surface.storage_class,
        datasets=len(entries),
        windows=sum(entry.windows for entry in entries),
        rows=sum(entry.rows for entry in entries),
        bytes=sum(entry.bytes for entry in entries),
        last_commit=max((entry.changed for entry in entries), default=0),
        unfinished=sum(entry.unfinished for entry in entries),
        span=_span([entry.span for entry in entries if entry.span is not None]),
        states=dict(sorted(Counter(entry.state for entry in entries if entry.state).items())),
        unreadable=tuple(unreadable),
        garbage=None if garbage is None else len(garbage),
        garbage_bytes=None if garbage is None else sum(garbage),
    )


def _span(spans: list[Interval]) -> Interval | None:
    return (min(first for first, _ in spans), max(last for _, last in spans)) if spans else None


def _entries(surface: Surface) -> tuple[list[Entry], list[Finding]]:
    try:
        return surface.summaries(), []
    except ArrayStoreError as error:
        if isinstance(error, PermissionError):
            raise
    found: list[Entry] = []
    unreadable = []
    for log in surface.logs():
        try:
            found.append(entry_of(log.prefix, log.head()))
        except NotFound:
            continue  # its first version isn't there yet
        except ArrayStoreError as error:
            unreadable.append(finding(surface.storage_class, log.prefix, log.prefix, str(error)))
    return [entry for entry in found if entry.alive], unreadable


def _garbage(surface: Surface, role: str) -> Iterable[list[int]]:
    """Bytes of what `gc` would remove, dataset by dataset; what can't be opened has none that could be told."""
    grace_ns = retention_of(surface.storage_class).grace_ns
    for log in surface.logs():
        try:
            yield [item.bytes for item in Collector(log, role, grace_ns=grace_ns).plan().items]
        except ArrayStoreError:
            continue


type Value = Callable[[ClassStatus], Mapping[tuple[tuple[str, str], ...], float | None]]


def _plain(read: Callable[[ClassStatus], float | None]) -> Value:
    return lambda status: {(): read(status)}


_METRICS: tuple[tuple[str, str, Value], ...] = (
    ("datasets", "Datasets that there are.", _plain(lambda status: status.datasets)),
    ("windows", "Windows of all datasets.", _plain(lambda status: status.windows)),
    ("unfinished_windows", "Windows that aren't complete.", _plain(lambda status: status.unfinished)),
    ("rows", "Rows at the newest versions.", _plain(lambda status: status.rows)),
    ("stored_bytes", "Bytes that the newest versions take.", _plain(lambda status: status.bytes)),
    (
        "last_commit_timestamp_seconds",
        "When the newest commit was made, by its writer's clock.",
        _plain(lambda status: status.last_commit / 1e9 or None),
    ),
    ("unreadable_datasets", "Datasets that can't be opened.", _plain(lambda status: len(status.unreadable))),
    (
        "datasets_in_state",
        "Datasets by the state that they tell of themselves.",
        lambda status: {(("state", state),): number for state, number in status.states.items()},
    ),
    ("garbage_objects", "Objects that gc would remove now.", _plain(lambda status: status.garbage)),
    ("garbage_bytes", "Bytes that gc would free now.", _plain(lambda status: status.garbage_bytes)),
)


def prometheus(store: str, classes: Iterable[ClassStatus]) -> str:
    """The numbers in Prometheus' text exposition format, version 0.0.4: gauges `arraystore_…`, with the labels `store` and `class`."""
    listed = list(classes)
    lines = []
    for name, help_text, read in _METRICS:
        samples = []
        for status in listed:
            for more, value in read(status).items():
                if value is not None:
                    labels = {"store": store, "class": status.storage_class, **dict(more)}
                    told = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
                    samples.append(f"arraystore_{name}{{{told}}} {value!r}")
        if samples:
            lines += [f"# HELP arraystore_{name} {help_text}", f"# TYPE arraystore_{name} gauge", *samples]
    return "\n".join([*lines, ""])


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
