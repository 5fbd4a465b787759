"""Whatever several writers do to a dataset, one after another and some with failing media: it is what a list of versions says it is."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace as changed
from itertools import accumulate
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

import arraystore
from arraystore.storage import open_storage
from arraystore.versions.draft import draft_commit
from tests.attack.failing import BROKEN, FULL, Medium
from tests.model.actors import EXPERIMENT, KEY, Actor, Answer, Local, Remote
from tests.model.model import DAY, START, Interval, Model, Outcome, Purge, Refused, Row, Version, Window, bounds, day_of

LONG = {"long": "n" * 45_000}
YEAR = 365 * DAY
WINDOWS = frozenset(day_of(START + number * DAY) for number in range(3))

moments = st.one_of(
    st.integers(0, 3 * DAY - 1),
    st.sampled_from([0, DAY - 1, DAY, 2 * DAY, 3 * DAY - 1]),
).map(START.__add__)
shapes = st.lists(
    st.tuples(moments, st.sampled_from("abc"), st.sampled_from([None, "", "note", "ü", *LONG]), st.sampled_from([None, -0.0, 1.5])),
    max_size=6,
)
spans = st.tuples(moments, moments).map(sorted).filter(lambda span: span[0] < span[1]).map(tuple)
who = st.sampled_from(["one", "two", "remote", "failing"])
faults = st.tuples(st.integers(1, 25), st.sampled_from([FULL, BROKEN]), st.booleans(), st.booleans())
completenesses = st.sampled_from([None, None, None, "open", "partial", "complete"])


def scratch() -> str:
    """A folder for one store, in memory where that is possible: thousands of them are made."""
    return tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)


def told(manifest: arraystore.Manifest) -> Window:
    """What a manifest says of a window, without its rows."""
    return Window(
        completeness=manifest.completeness,
        coverage=tuple((start, end) for start, end in manifest.coverage),
        withdrawn=manifest.attributes.get("withdrawn"),
        version=manifest.version,
    )


def rows_of(frame: arraystore.Frame) -> tuple[Row, ...]:
    """The rows of a frame; NaN stands for null in the one column of floats."""
    extra = [None if value != value else value for value in frame["extra"].tolist()] if "extra" in frame else [None] * frame.row_count  # noqa: PLR0124
    columns = (frame["time"].tolist(), frame["number"].tolist(), list(frame["label"]), list(frame["note"]), extra)
    return tuple(Row(*values) for values in zip(*columns, strict=True))


class DatasetMachine(RuleBasedStateMachine):
    """Four writers and a reader of one dataset."""

    order: ClassVar[str] = "arrival"

    def __init__(self) -> None:
        super().__init__()
        self.folder = scratch()
        self.url = f"{self.folder}/store"
        arraystore.init_store(self.url)
        self.model = Model(self.order)
        self.medium = Medium(open_storage)
        self.offset = 0
        self.numbers = iter(range(1 << 62))
        self.pins: list[tuple[Any, tuple[Row, ...]]] = []
        self.tagged: set[int] = set()
        self.expired = 0
        self.actors: dict[str, Actor] = {
            "one": Local(self.url, self.order),
            "two": Local(self.url, self.order),
            "remote": Remote(self.url, self.order),
            "failing": Local(self.url, self.order, self.medium.opener),
        }
        self.reader = arraystore.open_store(self.url, role="operations")
        self.lives: dict[str, int] = {}
        self.patches = [
            mock.patch("arraystore.versions.checkpoint.MINIMUM_LOG_BYTES", 4096),
            mock.patch("arraystore.datasets.writer.TAIL_COUNT", 5),
            mock.patch.dict(draft_commit.__kwdefaults__, clock=self.clock),
        ]
        for patch in self.patches:
            patch.start()

    def teardown(self) -> None:
        try:
            self.everything_is_still_there()
        finally:
            for patch in self.patches:
                patch.stop()
            shutil.rmtree(self.folder)

    def clock(self) -> int:
        """A clock that rules set forward and back."""
        return START + 2 * YEAR + self.offset

    # --- what writers do -----------------------------------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        self.perform("one", "create", outcome=self.model.create())

    @precondition(lambda self: not self.model.now.alive)
    @rule(actor=who)
    def create(self, actor: str) -> None:
        self.perform(actor, "create", outcome=self.model.create())

    @precondition(lambda self: self.model.now.alive)
    @rule(actor=who)
    def create_what_exists(self, actor: str) -> None:
        self.perform(actor, "create", outcome=self.model.create())

    @rule(actor=who, shape=shapes, coverage=st.none() | spans, completeness=completenesses, reopen=st.booleans(), refresh=st.booleans())
    def append(
        self, actor: str, shape: list[Any], coverage: Interval | None, completeness: str | None, reopen: bool, refresh: bool
    ) -> None:
        if not self.ready(actor, refresh):
            return
        rows = self.rows(actor, shape)
        if not rows and coverage is None:
            completeness = None  # there is no window to tell it of
        options = {"coverage": coverage, "completeness": completeness, "reopen": reopen}
        says_nothing = not rows and coverage is None
        outcome = self.actors[actor].version if says_nothing else self.model.append(rows, **options)
        self.perform(actor, "append", rows, outcome=outcome, **options)

    @rule(actor=who, shape=shapes.filter(bool), writer=st.sampled_from(["w", "v"]), step=st.sampled_from([-1, 0, 0, 1, 1, 1]))
    def append_with_a_token(self, actor: str, shape: list[Any], writer: str, step: int) -> None:
        if not self.ready(actor, False):
            return
        sequence = max(0, self.model.tokens.get(writer, (0, 0))[0] + step)
        token, rows = (writer, sequence), self.rows(actor, shape)
        outcome = self.model.append(rows, token=token, reopen=True)
        self.perform(actor, "append", rows, outcome=outcome, token=token, reopen=True)

    @precondition(lambda self: self.model.now.windows)
    @rule(actor=who, data=st.data(), shape=shapes, coverage=st.booleans(), refresh=st.booleans())
    def replace(self, actor: str, data: st.DataObject, shape: list[Any], coverage: bool, refresh: bool) -> None:
        name = self.some_window(actor, data, refresh)
        if name is None:
            return
        start, end = bounds(name)
        rows = self.rows(actor, [(start + (time - START) % DAY, *rest) for time, *rest in shape])
        covered = (start, end) if coverage else None
        window = Window(rows=tuple(rows), completeness="complete", coverage=(covered,) if covered else ())
        outcome = self.model.put(name, window, self.actors[actor].version)
        self.perform(actor, "replace", name, rows, outcome=outcome, coverage=covered, reason="to see")

    @precondition(lambda self: self.model.now.windows)
    @rule(actor=who, data=st.data(), refresh=st.booleans())
    def withdraw(self, actor: str, data: st.DataObject, refresh: bool) -> None:
        name = self.some_window(actor, data, refresh)
        if name is not None:
            outcome = self.model.put(name, Window(withdrawn="bad"), self.actors[actor].version)
            self.perform(actor, "withdraw", name, outcome=outcome, reason="bad")

    @precondition(lambda self: self.model.now.windows)
    @rule(actor=who, data=st.data(), completeness=completenesses.filter(bool))
    def complete(self, actor: str, data: st.DataObject, completeness: str) -> None:
        name = self.some_window(actor, data, False)
        if name is not None:
            self.perform(actor, "update", outcome=self.model.complete(name, completeness), window=name, completeness=completeness)

    @rule(actor=who, value=st.sampled_from([None, 1, "text", ["list"]]))
    def describe(self, actor: str, value: object) -> None:
        if self.ready(actor, False):
            self.perform(actor, "update", outcome=self.model.describe({"key": value}), attributes={"key": value})

    @rule(actor=who)
    def evolve(self, actor: str) -> None:
        if self.ready(actor, False):
            self.perform(actor, "evolve", outcome=self.model.evolve())

    @rule(actor=who, shapes=st.lists(shapes, max_size=3), token=st.booleans())
    def append_a_stream(self, actor: str, shapes: list[Any], token: bool) -> None:
        if not self.ready(actor, False):
            return
        batches = [self.rows(actor, shape) for shape in shapes]
        if self.order == "time":
            joined = iter(sorted((row for rows in batches for row in rows), key=lambda row: row.time))
            batches = [[next(joined) for _ in rows] for rows in batches]
        rows = [row for batch in batches for row in batch]
        options: dict[str, Any] = {"token": ("s", self.model.tokens.get("s", (0, 0))[0] + 1)} if token else {}
        if not rows and not token:
            outcome: Outcome = Refused("WindowClosed") if self.model.now.sealed else self.actors[actor].version
        else:
            outcome = self.model.append(rows, reopen=True, **options)
        self.perform(actor, "append_stream", batches, outcome=outcome, reopen=True, **options)

    @rule(actor=who, name=st.sampled_from(["a", "b"]), size=st.sampled_from([0, 1, 5000]))
    def keep_a_file(self, actor: str, name: str, size: int) -> None:
        if self.ready(actor, False):
            data = next(self.numbers).to_bytes(8) * size
            self.perform(actor, "add_file", name, data, outcome=self.model.keep_file(name, data))

    @precondition(lambda self: self.model.now.alive and (self.model.now.windows or self.model.now.purged))
    @rule(actor=who, data=st.data())
    def purge(self, actor: str, data: st.DataObject) -> None:
        known = sorted(self.model.now.windows.keys() | self.model.now.purged)
        names = data.draw(st.lists(st.sampled_from(known), min_size=1, max_size=2, unique=True))
        must, may = self.model.to_purge(names, lambda number: number > self.expired or number in self.tagged)
        before = self.model.number
        answer = self.actors[actor].do("purge", names)
        going = must
        if self.there() > before:
            view = self.reader.derived[KEY].at(before + 1)
            going = [name for name in names if name in view.windows() and view.manifest(name).version == before + 1]
            assert set(must) <= set(going) <= {*must, *may}
        self.compare(actor, "purge", answer, self.model.purge(going))
        if self.model.number > before:
            self.model.purges += [Purge(window=name, version=self.model.number, done=False) for name in going]
        if not answer.error:
            self.model.unsure -= set(names)
            for purge in self.model.purges:
                purge.done |= purge.window in names

    @rule(actor=who, sure=st.sampled_from([True, False, False, False]))
    def seal(self, actor: str, sure: bool) -> None:
        if sure and self.ready(actor, False):
            self.perform(actor, "seal", outcome=self.model.seal())

    @rule(actor=who, sure=st.sampled_from([True, False, False, False]))
    def delete(self, actor: str, sure: bool) -> None:
        if sure:
            self.perform(actor, "delete", outcome=self.model.delete())

    @precondition(lambda self: self.model.now.alive)
    @rule(actor=who, max_rows=st.sampled_from([1, 3, 1000]))
    def compact(self, actor: str, max_rows: int) -> None:
        self.maintain(actor, "compact", max_rows=max_rows)

    @rule(actor=who)
    def collect_garbage(self, actor: str) -> None:
        self.maintain(actor, "gc")

    @precondition(lambda self: self.model.number)
    @rule(actor=who, keep=st.integers(1, 8))
    def expire(self, actor: str, keep: int) -> None:
        head = self.model.number
        answer = self.maintain(actor, "expire", keep)
        self.expired = max(self.expired, head - keep)  # also where it failed: what was marked ends with the next step
        assert answer.version <= self.expired

    @precondition(lambda self: self.model.now.alive and not self.model.now.purged)
    @rule(actor=st.sampled_from(["one", "two", "remote"]), span=spans)
    def run_a_backtest(self, actor: str, span: Interval) -> None:
        """What it made is sealed, and what it read is kept for as long as it is."""
        number, rows = next(self.numbers), self.model.now.rows(*span, order=self.order)
        answer = self.actors[actor].do("run", number, *span)
        assert (answer.error, answer.version) == ("", self.model.number), answer
        run = arraystore.open_store(self.url, role="backtesting").experiments[EXPERIMENT, f"run-{number}"]
        assert (run.sealed, run.attributes["state"]) == (True, "finished")
        assert [row[:4] for name in run.windows() for row in rows_of(run.read(window=name))] == [row[:4] for row in rows]
        with pytest.raises(arraystore.WindowClosed):
            run.update(attributes={"more": 1})
        (pin,) = run.versions()[-1].inputs
        self.pins.append((pin, rows))
        self.tagged.add(pin.version)

    def maintain(self, actor: str, order: str, *values: Any, **options: Any) -> Answer:
        """No row changes, and versions that are kept stay what they were; which windows changed is the store's to say."""
        before = self.there()
        answer = self.actors[actor].do(order, *values, **options)
        if actor == "failing" and self.medium.failed:
            self.medium.heal()
            self.model.unsure |= WINDOWS
            self.lives.pop("failing", None)
        else:
            assert answer.error == "", answer
        now = self.model.now
        for number in range(before + 1, self.there() + 1):
            touched: set[str] = set()
            if now.alive:
                view = self.reader.derived[KEY].at(number)
                touched = {name for name in view.windows() if view.manifest(name).version == number}
            windows = {name: changed(window, version=number) if name in touched else window for name, window in now.windows.items()}
            now = changed(now, windows=windows)
            self.model.push(now)
        return answer

    @rule(years=st.integers(-40, 40), actor=who)
    def jump_in_time(self, years: int, actor: str) -> None:
        self.offset = years * YEAR
        self.ready(actor, True)

    @rule(fault=faults)
    def the_medium_will_fail(self, fault: tuple[int, int, bool, bool]) -> None:
        call, number, late, lasting = fault
        self.medium.fail(call, number, late=late, lasting=lasting)

    @rule(actor=st.sampled_from(["one", "two", "failing"]))
    def start_anew(self, actor: str) -> None:
        self.medium.heal()
        self.actors[actor] = Local(self.url, self.order, self.medium.opener if actor == "failing" else None)
        self.lives.pop(actor, None)

    # --- what readers do -----------------------------------------------------------------------------------------------

    @precondition(lambda self: self.model.now.alive)
    @rule(span=spans, all_of_it=st.booleans())
    def pin(self, span: Interval, all_of_it: bool) -> None:
        dataset = self.reader.derived[KEY]
        pin = dataset.pin() if all_of_it else dataset.pin(*span)
        self.pins.append((pin, self.model.now.rows(*(() if all_of_it else span), order=self.order)))

    @precondition(lambda self: self.pins)
    @rule(data=st.data())
    def read_a_pin(self, data: st.DataObject) -> None:
        self.reads_as(*data.draw(st.sampled_from(self.pins)))

    @precondition(lambda self: self.model.now.alive and self.model.number > self.expired)
    @rule(name=st.sampled_from("ab"))
    def tag(self, name: str) -> None:
        pin = self.reader.derived[KEY].pin()
        self.reader.tag(name, [pin])
        self.pins.append((pin, self.model.now.rows(order=self.order)))
        self.tagged.add(pin.version)

    def reads_as(self, pin: Any, rows: tuple[Row, ...]) -> None:
        """A pin reads what it named, or says that it ended or was purged; it never ends where a tag names its version."""
        try:
            with self.unless_purged(pin.version, rows):
                assert rows_of(self.reader.read(pin)) == rows
        except arraystore.VersionExpired:
            assert pin.version <= self.expired
            assert pin.version not in self.tagged

    @contextmanager
    def unless_purged(self, number: int, rows: Iterable[Row]) -> Iterator[None]:
        """What reads these rows of a version says so if any was purged, and doesn't else."""
        windows = self.model.versions[number].windows
        gone = {name: self.model.are_purged(number, name) for name in windows}
        asked = {day_of(row.time) for row in rows}
        told = ""
        try:
            yield
        except arraystore.Purged as error:
            told = str(error)
        if told:
            assert [name for name, went in gone.items() if went is not False and name in told], told
        else:
            assert not [name for name in asked if gone[name]], "they are gone"

    @precondition(lambda self: self.model.now.alive)
    @rule(back=st.integers(-1, 8), early=st.booleans())
    def travel_to_a_moment(self, back: int, early: bool) -> None:
        """A moment names the last version that no clock puts later, whichever clock went astray before it."""
        dataset = self.reader.derived[KEY]
        versions = [version for version in dataset.versions() if version.number > self.expired]
        moments = dict(zip([version.number for version in versions], accumulate((version.time for version in versions), max), strict=True))
        if not versions or versions[0].number > 1:
            return  # what came before isn't kept, nor is its clock
        moment = moments[max(moments) - min(max(back, 0), len(moments) - 1)] - early
        wanted = max((number for number, at in moments.items() if at <= moment), default=0)
        if wanted and self.model.versions[wanted].life == self.model.now.life and self.model.versions[wanted].alive:
            assert dataset.at(np.datetime64(moment, "ns")).version == wanted

    @precondition(lambda self: self.model.now.alive)
    @rule(data=st.data(), span=spans)
    def travel(self, data: st.DataObject, span: Interval) -> None:
        number = data.draw(st.integers(1, self.model.number))
        self.is_as_told(number, span)

    @invariant()
    def the_newest_version_is_as_told(self) -> None:
        now = self.model.now
        if not now.alive:
            assert KEY not in self.reader.derived
        elif self.model.number:
            dataset = self.reader.derived[KEY]
            assert dataset.version == self.model.number
            self.same(dataset, now)

    def is_as_told(self, number: int, span: Interval | None = None) -> None:
        version = self.model.versions[number]
        dataset = self.reader.derived[KEY]
        if not version.alive or version.life != self.model.now.life:
            return
        try:
            view = dataset.at(number)
            self.same(view, version)
        except arraystore.VersionExpired:
            assert number <= self.expired
            assert number not in self.tagged
            return
        if span is not None:
            rows = version.rows(*span, order=self.order)
            with self.unless_purged(number, rows):
                assert rows_of(view.read(*span)) == rows

    def same(self, dataset: arraystore.DatasetView, version: Version) -> None:
        wanted = {
            name: Window(
                rows=Version(windows={name: window}).rows(order=self.order),
                completeness=window.completeness,
                coverage=window.coverage,
                withdrawn=window.withdrawn,
                version=window.version,
            )
            for name, window in version.windows.items()
        }
        found = {manifest.window: told(manifest) for manifest in dataset.manifests()}
        assert found == {name: changed(window, rows=()) for name, window in wanted.items()}
        for name, window in wanted.items():
            with self.unless_purged(dataset.version, window.rows):
                assert rows_of(dataset.read(window=name)) == window.rows
        attributes = dict(dataset.attributes)
        assert attributes.pop("purged", {}).keys() == version.purged
        assert attributes == dict(version.attributes)
        assert dataset.sealed == version.sealed
        assert {name: artifact.read() for name, artifact in dataset.artifacts().items()} == dict(version.files)
        rows = version.rows(order=self.order)
        with self.unless_purged(dataset.version, rows):
            assert rows_of(dataset.read()) == rows

    def everything_is_still_there(self) -> None:
        """Each version and pin, as a process finds them that was never here before; and nothing is wrong with any byte."""
        self.reader = arraystore.open_store(self.url, role="operations")
        for pin, rows in self.pins:
            self.reads_as(pin, rows)
        if self.model.now.alive:
            for number in range(1, self.model.number + 1):
                self.is_as_told(number)
            dataset = self.reader.derived[KEY]
            kept = [version.number for version in dataset.versions()]
            assert kept == list(range(kept[0], self.model.number + 1))
            assert kept[0] <= self.expired + 1
            for purge in self.model.purges:
                if not purge.done:
                    dataset.purge(purge.window, reason="to see")  # an interrupted one goes on
            assert dataset.verify(deep=True) == []

    # --- how it is told --------------------------------------------------------------------------------------------------

    def rows(self, actor: str, shape: list[Any]) -> list[Row]:
        """Rows of a shape that this actor can write: in time order where the dataset has it, and no columns it hasn't heard of."""
        rows = [
            Row(time, next(self.numbers), label, LONG.get(note, note), extra if self.actors[actor].evolved else None)
            for time, label, note, extra in shape
        ]
        return sorted(rows, key=lambda row: row.time) if self.order == "time" else rows

    def ready(self, actor: str, refresh: bool) -> bool:
        """Whether an actor has a handle of the dataset that there is; it looks again if it hasn't, or when told to."""
        if not self.model.now.alive:
            return False
        if self.lives.get(actor) != self.model.now.life or refresh:
            self.lives.pop(actor, None)
            if self.actors[actor].do("open").error:
                return False  # the medium failed
            self.lives[actor] = self.model.now.life
        return True

    def some_window(self, actor: str, data: st.DataObject, refresh: bool) -> str | None:
        """A window that the actor's handle knows."""
        if not self.ready(actor, refresh):
            return None
        version = self.model.versions[self.actors[actor].version]
        names = sorted(version.windows) if version.life == self.model.now.life else []
        return data.draw(st.sampled_from(names)) if names else None

    def perform(self, actor: str, order: str, *values: Any, outcome: Outcome, **options: Any) -> Answer:
        """Have it done, and compare what became of it."""
        answer = self.actors[actor].do(order, *values, **options)
        if order in ("create", "delete") and not answer.error:
            self.lives = {actor: self.model.now.life + 1} if order == "create" else {}
        self.compare(actor, order, answer, outcome, options.get("token"))
        return answer

    def compare(self, actor: str, order: str, answer: Answer, outcome: Outcome, token: tuple[str, int] | None = None) -> None:
        """What became of it is what ought to have."""
        if actor == "failing" and self.medium.failed:
            self.after_a_fault(order, answer, outcome, token)
        elif isinstance(outcome, Refused):
            assert answer.error == outcome.error, answer
        elif isinstance(outcome, int):
            assert (answer.error, answer.version) == ("", outcome), answer
        else:
            assert (answer.error, answer.version, answer.repeated) == ("", self.model.number + 1, False), answer
            self.model.push(outcome, token)

    def after_a_fault(self, order: str, answer: Answer, outcome: Outcome, token: tuple[str, int] | None) -> None:
        """The medium failed: what wasn't acknowledged is there whole, where that was said to be unsure, or it isn't at all."""
        self.medium.heal()
        self.model.unsure |= WINDOWS
        if not answer.error:
            assert not isinstance(outcome, Refused)
            if isinstance(outcome, Version):
                self.model.push(outcome, token)
            return
        self.lives.pop("failing", None)
        if isinstance(outcome, Version) and self.there() > self.model.number:
            assert answer.error == "CommitUnknown" or order == "purge", answer
            self.model.push(outcome, token)

    def there(self) -> int:
        """The newest version on disk."""
        names = (Path(self.url) / "derived" / "/".join(KEY) / "_log").glob("0*")
        return max((int(name.name) for name in names), default=0)


class TimeOrderedMachine(DatasetMachine):
    """The same for rows that are read by their times."""

    order = "time"


MACHINES = pytest.mark.parametrize("machine", [DatasetMachine, TimeOrderedMachine], ids=["arrival", "time"])


@MACHINES
def test_a_dataset_is_what_its_versions_say(machine: type[DatasetMachine]) -> None:
    run_state_machine_as_test(machine, settings=settings(max_examples=12, stateful_step_count=20))


@MACHINES
@pytest.mark.deep
@pytest.mark.timeout(7200)
def test_a_dataset_is_what_its_versions_say_for_as_long_as_you_like(machine: type[DatasetMachine]) -> None:
    run_state_machine_as_test(machine, settings=settings(stateful_step_count=40, suppress_health_check=list(HealthCheck)))
