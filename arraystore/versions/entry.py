"""A dataset in short: what finding it needs to know, without its log."""

import msgspec

from arraystore.versions.commit import Interval
from arraystore.versions.state import State, merge_clocks


class Entry(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A dataset in short, as of `version`. Times are int64 ns since 1970 UTC; `span` is first and last on the axis clock."""

    path: str
    dataset: str
    version: int
    schema: str = ""
    alive: bool = True
    windows: int = 0
    unfinished: int = 0
    rows: int = 0
    bytes: int = 0
    span: Interval | None = None
    state: str = ""
    changed: int = 0


def entry_of(path: str, state: State) -> Entry:
    """A state in short."""
    if not state.alive:
        return Entry(path=path, dataset=state.dataset, version=state.version, alive=False, changed=state.running_time)
    summaries = list(state.summaries())
    schema = None if state.schema is None else state.schemas[state.schema]
    clocks = merge_clocks(summary.clocks for summary in summaries)
    return Entry(
        path=path,
        dataset=state.dataset,
        version=state.version,
        schema="" if schema is None else schema.name,
        windows=len(summaries),
        unfinished=sum(summary.completeness != "complete" for summary in summaries),
        rows=sum(summary.rows for summary in summaries),
        bytes=sum(summary.bytes for summary in summaries),
        span=None if schema is None else clocks.get(schema.axis),
        state=str(state.attributes.get("state", "")),
        changed=state.running_time,
    )
