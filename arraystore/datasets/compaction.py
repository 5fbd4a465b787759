"""Compaction: many segments and tails of a window become one, row for row the same; older versions keep what they name.

A plan is pure and can be looked at. Carried out, it writes the new segments, proves them against their sources, and publishes; where
another writer changed what the plan stood on, it plans again, so that nobody's rows are ever lost.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from logging import INFO
from typing import Any

from msgspec.structs import replace

from arraystore.datasets.joining import Joined
from arraystore.datasets.parts import load_parts
from arraystore.datasets.tombstone import gone
from arraystore.errors import Conflict, Corrupt, NotFound, PlanExpired
from arraystore.logs import tell
from arraystore.segments.segment import new_name, write_contents
from arraystore.segments.segmentcheck import verify_segment
from arraystore.versions.commit import COMPACT, SegmentEntry, WindowChange
from arraystore.versions.draft import Draft, draft_commit
from arraystore.versions.log import Log
from arraystore.versions.state import State, WindowState
from layouts.chunking import SEGMENT_ROWS

COMMIT_BYTES = 256 << 20  # of sources, after which a commit is made: what was done up to there needn't be done again
COMMIT_RUNS = 256
ATTEMPTS = 20
ATTEMPTS_BEFORE_LOCKING = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactionRun:
    """Segments and tails of a window that follow each other in order, and become one segment; `result` once that is committed."""

    window: str
    sources: tuple[SegmentEntry, ...]
    schema: int  # number of the schema that the new segment has
    result: SegmentEntry | None = None

    @property
    def rows(self) -> int:
        """Rows of all sources, and of the result."""
        return sum(entry.rows for entry in self.sources)

    @property
    def bytes(self) -> int:
        """Stored bytes of all sources."""
        return sum(entry.bytes for entry in self.sources)

    def holds(self, state: State) -> bool:
        """Whether the sources still are there and follow each other, so that the result may take their place."""
        entries = state.window(self.window).segments
        first = next((place for place, entry in enumerate(entries) if entry == self.sources[0]), None)
        return first is not None and entries[first : first + len(self.sources)] == self.sources

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        tails = sum(bool(entry.tail) for entry in self.sources)
        return {
            "window": self.window,
            "segments": len(self.sources) - tails,
            "tails": tails,
            "rows": self.rows,
            "bytes": self.bytes,
            "segment": None if self.result is None else self.result.segment,
            "bytes_after": None if self.result is None else self.result.bytes,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Compaction:
    """What a compaction does, or did: `version` is the last it made, None for a plan, or where there was nothing to do."""

    version: int | None
    runs: tuple[CompactionRun, ...]

    @property
    def rows(self) -> int:
        """Rows that are written anew."""
        return sum(run.rows for run in self.runs)

    @property
    def bytes(self) -> int:
        """Stored bytes of all sources."""
        return sum(run.bytes for run in self.runs)

    @property
    def bytes_after(self) -> int:
        """Stored bytes of the new segments; 0 in a plan."""
        return sum(run.result.bytes for run in self.runs if run.result is not None)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {"version": self.version, "runs": [run.to_json() for run in self.runs]}


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactionRule:
    """What is compacted: runs of up to `max_rows`; segments of `leave_bytes` or more stay as they are (None: none does).

    `tiered` leaves segments of a window that isn't complete yet if they have more rows than all that came after them. However often
    such a window is compacted while it grows, a row is then written anew about log2(n) times, n being how many times it grew, and
    about as many segments stay (the logarithmic method: Bentley and Saxe, Decomposable searching problems, 1980).
    """

    max_rows: int = SEGMENT_ROWS
    leave_bytes: int | None = None
    tiered: bool = False


def plan_compaction(state: State, windows: Iterable[str], rule: CompactionRule) -> tuple[CompactionRun, ...]:
    """Which segments and tails would become one. Pure; windows that hold one segment already aren't in it."""
    return tuple(run for name in windows for run in _runs_of(state, state.window(name), rule))


def _runs_of(state: State, window: WindowState, rule: CompactionRule) -> Iterator[CompactionRun]:
    if not window.segments:
        return
    schema = window.segments[-1].schema if state.schema is None else state.schema
    tiers = _tiers(window.segments) if rule.tiered and window.completeness != "complete" else [window.segments]
    for tier in tiers:
        yield from _runs_within(window.window, tier, schema, rule)


def _tiers(entries: Sequence[SegmentEntry]) -> list[Sequence[SegmentEntry]]:
    """The entries in order, cut behind each segment that outweighs what follows it in the same tier."""
    tiers: list[Sequence[SegmentEntry]] = []
    end, newer = len(entries), 0  # rows, since joined segments have fewer bytes than their sources
    for place in range(len(entries) - 1, -1, -1):
        entry = entries[place]
        if newer and not entry.tail and entry.rows > newer:
            tiers.append(entries[place + 1 : end])
            end, newer = place + 1, 0
        newer += entry.rows
    return [entries[:end], *reversed(tiers)]


def _runs_within(window: str, entries: Sequence[SegmentEntry], schema: int, rule: CompactionRule) -> Iterator[CompactionRun]:
    held: list[SegmentEntry] = []
    for entry in (*entries, None):
        large = entry is not None and not entry.tail and rule.leave_bytes is not None and entry.bytes >= rule.leave_bytes
        if entry is None or large or sum(each.rows for each in held) + entry.rows > rule.max_rows:
            if len(held) > 1 or any(each.tail for each in held):
                yield CompactionRun(window=window, sources=tuple(held), schema=schema)
            held = []
        if entry is not None and not large:
            held.append(entry)


class Compactor:
    """Compacts windows of one dataset, which its UUID tells from another of the same key.

    `threads` decode and encode; memory stays at some tens of megabytes whatever the sizes. Safe to share between threads.
    """

    def __init__(self, log: Log, dataset: str, role: str, rule: CompactionRule, threads: int | None = None) -> None:
        self._log = log
        self._dataset = dataset
        self._role = role
        self._rule = rule
        self._threads = threads

    def plan(self, windows: Iterable[str] | None) -> Compaction:
        """What `compact` would do now."""
        state = self._newest()
        return Compaction(version=None, runs=plan_compaction(state, self._named(state, windows), self._rule))

    def compact(self, windows: Iterable[str] | None) -> tuple[Compaction, State]:
        """Compact windows (None: all), in one commit or several; each is durable before the next begins, and stays if that fails.

        The newest state that was seen comes back too.
        """
        first = state = self._newest()
        done: list[CompactionRun] = []
        for names in _groups(first, self._named(first, windows), self._rule):
            after, runs = self._carry_out(names)
            state = after or state
            done += runs
        if done:
            tell(INFO, "compacted", dataset=self._log.address, version=state.version, segments=len(done))
        return Compaction(version=state.version if done else None, runs=tuple(done)), state

    def _newest(self) -> State:
        state = self._log.head()
        self._refuse_another(state)
        return state

    def _refuse_another(self, state: State) -> None:
        if not state.alive or state.dataset != self._dataset:
            raise gone(self._log, state, self._dataset)

    def _named(self, state: State, windows: Iterable[str] | None) -> list[str]:
        return list(state.window_names() if windows is None else windows)

    def _carry_out(self, names: Sequence[str]) -> tuple[State | None, list[CompactionRun]]:
        """Compact these windows in one commit; in more where other writers are at them too."""
        done: list[CompactionRun] = []
        written: dict[tuple[object, ...], SegmentEntry] = {}
        made: State | None = None
        for attempt in range(ATTEMPTS):
            with self._log.lock() if (locked := attempt >= ATTEMPTS_BEFORE_LOCKING) else nullcontext():
                state = self._newest()
                runs = [run for run in plan_compaction(state, names, self._rule) if not _follows(run, done)]
                if not runs:
                    return made, done
                try:
                    self._write(state, runs, written)
                    after, published = self._publish(runs, written, locked=locked)
                except PlanExpired:
                    written.clear()  # suspended past a floor: they may be gone, and are written again under new names
                    continue
                except (Corrupt, NotFound):
                    if all(run.holds(self._newest()) for run in runs):
                        raise
                    continue  # others compacted or replaced the sources, and retention came after them
            if published:
                made = after
                done += published
            if len(published) == len(runs):
                return made, done
        msg = f"{self._log.prefix}: other writers changed the same windows {ATTEMPTS} times in a row; try again"
        raise Conflict(msg)

    def _write(self, state: State, runs: Sequence[CompactionRun], written: dict[tuple[object, ...], SegmentEntry]) -> None:
        """Write the segments of the runs that have none yet, and prove them; durable when this returns."""
        storage = self._log.storage
        todo = [run for run in runs if _key(run) not in written]
        fresh: list[tuple[CompactionRun, SegmentEntry]] = []
        with self._log.batch(state.version) if todo else nullcontext() as batch:
            for run in todo:
                assert batch is not None
                parts = load_parts(self._log, state, WindowState(window=run.window, segments=run.sources))
                joined = Joined(storage, parts, state.schemas[run.schema], self._threads)
                name = new_name(state.version)
                entry, index = write_contents(
                    batch,
                    f"{self._log.prefix}/{run.window}/{name}",
                    name,
                    joined,
                    schema_number=run.schema,
                    profile=state.profile,
                    threads=self._threads,
                )
                joined.prove(index)
                fresh.append((run, replace(entry, order=run.sources[0].order)))
        for run, entry in fresh:
            where = f"{self._log.prefix}/{run.window}/{entry.segment}"
            if problems := verify_segment(storage, where, entry, state.schemas[run.schema], deep=True, threads=self._threads):
                if self._log.has_expired(state.version):
                    raise PlanExpired(f"{where}: fell below a floor while it was written; write it again")
                raise Corrupt(f"{'; '.join(problems)} (just written by a compaction, which published nothing: look at the medium)")
            written[_key(run)] = entry

    def _publish(
        self, runs: Sequence[CompactionRun], written: Mapping[tuple[object, ...], SegmentEntry], *, locked: bool
    ) -> tuple[State, list[CompactionRun]]:
        """Publish the runs whose ground still holds."""
        standing: list[CompactionRun] = []

        def decide(now: State) -> Draft | None:
            self._refuse_another(now)
            standing[:] = [
                CompactionRun(window=run.window, sources=run.sources, schema=run.schema, result=written[_key(run)])
                for run in runs
                if run.holds(now)
            ]
            if not standing:
                return None
            return Draft(draft_commit(COMPACT, self._role, windows=tuple(_changes(standing)), reason=_told(standing)))

        return self._log.publish(decide, locked=locked), standing


def _groups(state: State, names: Iterable[str], rule: CompactionRule) -> Iterator[list[str]]:
    """Windows that have something to do, as many as go into one commit."""
    held: list[str] = []
    size = count = 0
    for name in names:
        runs = plan_compaction(state, [name], rule)
        if not runs:
            continue
        held.append(name)
        size += sum(run.bytes for run in runs)
        count += len(runs)
        if size >= COMMIT_BYTES or count >= COMMIT_RUNS:
            yield held
            held, size, count = [], 0, 0
    if held:
        yield held


def _key(run: CompactionRun) -> tuple[object, ...]:
    return (run.window, run.schema, *(entry.name for entry in run.sources))


def _follows(run: CompactionRun, done: Sequence[CompactionRun]) -> bool:
    """Whether a run begins with what was made just now: what came behind it meanwhile waits for the next time."""
    made = {each.result.segment for each in done if each.result is not None}
    return any(entry.segment in made for entry in run.sources)


def _changes(runs: Sequence[CompactionRun]) -> Iterator[WindowChange]:
    for window in dict.fromkeys(run.window for run in runs):
        own = [run for run in runs if run.window == window]
        yield WindowChange(
            window=window,
            remove=tuple(entry.name for run in own for entry in run.sources),
            add=tuple(run.result for run in own if run.result is not None),
        )


def _told(runs: Sequence[CompactionRun]) -> str:
    sources = [entry for run in runs for entry in run.sources]
    tails = sum(bool(entry.tail) for entry in sources)
    return f"{len(sources) - tails} segments and {tails} tails became {len(runs)} segments"
