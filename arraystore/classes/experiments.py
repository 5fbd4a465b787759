"""The experiments surface: one dataset per run, begun once or again after a failure, and all runs of an experiment as one table."""

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, override

import msgspec

from arraystore import arguments
from arraystore.classes.manykeys import Key
from arraystore.classes.runs import Run
from arraystore.classes.runtable import RunRow, RunTable, row_of
from arraystore.classes.surface import Surface
from arraystore.datasets.dataset import Dataset
from arraystore.datasets.request import Request
from arraystore.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from arraystore.versions.draft import Draft, draft_commit
from arraystore.versions.liveness import Owner, is_silent, last_heartbeat, this_process
from arraystore.versions.log import Log
from arraystore.versions.state import State
from layouts.classes import Action
from layouts.naming import escape, format_key, is_escaped, unescape

STATES = ("running", "finished", "failed", "abandoned")
ATTEMPTS = 100


class ExperimentsSurface(Surface):
    """Backtest runs. A surface like the others; `run` makes one, and the first part of a key alone is an `Experiment`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._heads: dict[tuple[str, ...], tuple[Log, State]] = {}

    @override
    def __getitem__(self, key: Key) -> Any:
        """The run's dataset at its newest version; of an experiment's name alone, the `Experiment`."""
        if isinstance(key, str) and "/" not in key:
            return self.experiment(unescape(key))
        if not isinstance(key, str) and len(key) == 1:
            return self.experiment(*key)
        return super().__getitem__(key)

    def experiment(self, name: str) -> "Experiment":
        """All runs of one experiment; NotFound where there are none."""
        self._place((name, "run"), Action.READ)
        if not any(map(is_escaped, self._storage.list(escape(name)).prefixes)):
            raise NotFound(f"experiments/{escape(name)}: there is no such experiment in {self.url}; `arraystore runs` lists them")
        return Experiment(self, name)

    def run(
        self,
        experiment: str,
        run_id: str | None = None,
        *,
        params: Mapping[str, Any] | None = None,
        definition: Mapping[str, Any] | None = None,
        retry: bool = False,
    ) -> Run:
        """Start a run, to be used as a context: it ends `finished`, or `failed` if an exception leaves it, sealed either way.

        Parameters
        ----------
        run_id
            Unique in the experiment; made up if not given.
        params, definition
            What the run was made with: JSON-like values. A retry that leaves them out keeps those of the attempt before.
        retry
            Harmless to repeat: a run that finished comes back as it is (`run.done`); one that failed, was abandoned, or whose process
            died is begun again as its next attempt, empty. What earlier attempts made is read at their versions; whoever still works on
            one can't add to this, so that a run never has two results.

        Raises
        ------
        AlreadyExists
            If the experiment has such a run; with `retry`, if that finished with other parameters.
        Conflict
            With `retry`, if another process is at it.
        """
        key = (experiment, uuid.uuid4().hex[:12] if run_id is None else run_id)
        given = {
            name: arguments.json_object(value, name)
            for name, value in (("params", params), ("definition", definition))
            if value is not None
        }
        return self._again(key, given) if retry else self._begin(key, given)

    def _begin(self, key: tuple[str, ...], given: Mapping[str, Any], attempt: int = 1) -> Run:
        attributes = {
            "state": "running",
            "params": {},
            "definition": {},
            **given,
            "started": time.time_ns(),
            "attempt": attempt,
            "owner": msgspec.to_builtins(this_process()),
        }
        return Run(self.create(key, None, attributes=attributes), self._storage)

    def _again(self, key: tuple[str, ...], given: Mapping[str, Any]) -> Run:
        place = self._place(key, Action.WRITE)
        for _ in range(ATTEMPTS):
            log = self._log(place.key)
            try:
                state = log.head()
            except NotFound:
                state = None
            before = None if state is None else _last_alive(log, state)
            if state is None or not state.alive:
                try:
                    return self._begin(key, {**_given_before(before), **given}, _attempt(before) + 1)
                except AlreadyExists:
                    continue  # another process was quicker: look at what it does
            match self._standing(place.path, state):
                case "finished":
                    _refuse_others(state, given, str(place))
                    return Run(Dataset(place, log, state, self._check_pins))
                case "running":
                    raise Conflict(f"{place} is under way in {_owner_told(state)}: wait for it, or give this run another run_id")
            self._clear(log, state)
        raise Conflict(f"{place}: others began it {ATTEMPTS} times meanwhile; try again")

    def _clear(self, log: Log, seen: State) -> None:
        """Make room for the next attempt, unless somebody did something since: from here on, whoever was at it can't add a thing."""

        def decide(now: State) -> Draft | None:
            if now.digest != seen.digest:
                return None
            told = f"attempt {_attempt(seen)} {self._standing(log.prefix, seen)}: begun again"
            return Draft(draft_commit("retry", self._role.value, state="deleted", reason=told))

        self._catalog.note_deletion(log.prefix)  # should nobody come to begin it
        log.publish(decide)

    def abandon(self, key: Key, note: str, *, force: bool = False) -> None:
        """Seal a run whose process died, for good: it is told as `abandoned`, with a note that says why.

        One that shows signs of life is refused, unless `force`: then its process finds it sealed, and what it has is lost.
        """
        place = self._place(key, Action.WRITE)
        note = arguments.text(note, "note", empty=False)
        dataset: Dataset = super().__getitem__(key)
        state = self._standing(place.path, dataset._state)  # noqa: SLF001 - a dataset of this surface's own
        if dataset.sealed:
            raise InvalidInput(f"{place} is {state!r}, and only a run that is under way can be abandoned", "key")
        if state == "running" and not force:
            told = _owner_told(dataset._state)  # noqa: SLF001 - as above
            raise Conflict(f"{place} is under way in {told}: end that first, or pass force=True")
        attributes = {"state": "abandoned", "note": note, "ended": time.time_ns()}
        dataset.commit(Request(operation="seal", role=dataset.role, attributes=attributes, state="sealed", reason=note))

    def state_of(self, key: Key) -> str:
        """How a run stands: `running`, `finished`, `failed`, or `abandoned`: marked so, or found dead.

        A run is found dead once its process has ended, which only its own machine can tell, or when it gave no sign of life for five
        minutes (`arraystore.versions.liveness.SILENCE_SECONDS`).
        """
        place = self._place(key, Action.READ)
        return self._standing(place.path, self._newest(place.key)[1])

    def _standing(self, path: str, state: State) -> str:
        told = str(state.attributes.get("state", ""))
        if told != "running" or state.sealed:
            return told
        try:
            owner = msgspec.convert(state.attributes.get("owner"), Owner)
        except msgspec.ValidationError:
            owner = Owner("", 0)  # a run of before there were owners, or of another program: only silence tells
        now = time.time_ns()
        # What costs nothing is asked first.
        silent = is_silent(state.running_time, now) and is_silent(last_heartbeat(self._storage, path), now)
        return "abandoned" if silent or owner.is_gone() else "running"

    def _newest(self, key: tuple[str, ...]) -> tuple[Log, State]:
        """A run's newest state, read once for each version."""
        known = self._heads.get(key)
        if known is None or known[0].may_have_moved(known[1].version):
            log = self._log(key) if known is None else known[0]
            known = self._heads[key] = (log, log.head())
        return known

    def rows_of(self, experiment: str) -> list[RunRow]:
        """What is known of every run of an experiment, sorted; for `Experiment`."""
        self._place((experiment, "run"), Action.READ)
        rows = []
        for name in self._storage.list(escape(experiment)).prefixes:
            if is_escaped(name):
                key = (experiment, unescape(name))
                try:
                    _, state = self._newest(key)
                except NotFound:
                    continue  # begun, and nothing committed yet
                if state.alive:
                    rows.append(row_of(key, state, self._standing(format_key(key), state)))
        return sorted(rows, key=lambda row: row.run)


class Experiment:
    """All runs of one experiment, as they are when asked for. Safe to share between threads."""

    def __init__(self, surface: ExperimentsSurface, name: str) -> None:
        self._surface = surface
        self.name = name

    def __repr__(self) -> str:
        return f"<Experiment {self.name}>"

    def __getitem__(self, run_id: str) -> Dataset:
        """One run's dataset."""
        dataset: Dataset = self._surface[self.name, run_id]
        return dataset

    def runs(self, *, state: str | Sequence[str] | None = None) -> RunTable:
        """One table of all runs, or of those in some states: parameters, latest metrics, when, and how they stand."""
        wanted = STATES if state is None else (state,) if isinstance(state, str) else tuple(state)
        if unknown := [name for name in wanted if name not in STATES]:
            raise InvalidInput(f"{unknown} are none of {', '.join(STATES)}", "state")
        return RunTable(self.name, tuple(row for row in self._surface.rows_of(self.name) if state is None or row.state in wanted))


def _attempt(state: State | None) -> int:
    told = 0 if state is None else state.attributes.get("attempt", 1)
    return told if isinstance(told, int) else 1


def _last_alive(log: Log, state: State) -> State | None:
    """The run as it was before a retry cleared it, if one did and came no further."""
    if state.alive:
        return state
    try:
        return log.at(state.version - 1)
    except NotFound:
        return None


def _given_before(state: State | None) -> dict[str, Any]:
    told = {} if state is None else state.attributes
    return {name: told[name] for name in ("params", "definition") if name in told}


def _refuse_others(state: State, given: Mapping[str, Any], place: str) -> None:
    """A finished run answers only for what it was made with."""
    if other := [name for name, value in given.items() if state.attributes.get(name) != value]:
        raise AlreadyExists(f"{place} finished with other {' and '.join(other)}: give this run another run_id")


def _owner_told(state: State) -> str:
    owner = state.attributes.get("owner")
    owner = owner if isinstance(owner, Mapping) else {}
    return f"process {owner.get('process', '?')} on {owner.get('host', '?')}"
