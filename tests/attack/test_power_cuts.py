"""Power is cut before every sync of every operation: what was acknowledged stays, what wasn't is whole or absent, and work goes on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest import mock

import numpy as np
import pytest

import arraystore
from arraystore import Column, Kind, Schema
from tests.attack.power import FATES, Disk, PowerCutError, Survivors, nothing
from tests.store.conftest import DAY, START

KEY = ("venue", "trades", "X")
ROOT = "memory://machine"
SMALL, LARGE = 3, 5_000
PLAIN = Schema(name="plain", order="arrival", columns=(Column(name="time", kind=Kind.TIME), Column(name="size")))
FILL = {"account": ["a"], "strategy": ["s"], "instrument": ["X"], "fill_id": ["1"], "side": [1], "price": [1.0], "size": [1.0]}


def opened(disk: Disk, role: str) -> arraystore.Store:
    whole = f"{ROOT.removeprefix('memory://')}/execution-records/zarr.json" in disk.live  # which init writes last
    return arraystore.open_store(ROOT, role=role, create=not whole, opener=disk.opener)


def canonical(disk: Disk) -> arraystore.Dataset:
    return opened(disk, "data-quality").canonical[KEY]


def plain(count: int, first: int = 0, start: int = START) -> dict[str, np.ndarray]:
    """Rows told apart by their size."""
    numbers = np.arange(first, first + count)
    return {"time": start + numbers, "size": numbers.astype(float)}


type See = Callable[[Disk], object]


@dataclass(frozen=True)
class Scenario:
    """What is there before, what is done, and what a reader sees of it: exactly `before` or exactly `after` it."""

    setup: Callable[[Disk], object]
    act: Callable[[Disk], object]
    see: See


def told(dataset: arraystore.DatasetView) -> object:
    """All that a dataset says, but for its version and the names of its segments, which depend on chance."""
    manifests = {m.window: (m.rows, m.completeness, m.coverage, dict(m.attributes), len(m.lineage)) for m in dataset.manifests()}
    values = {w: np.asarray(dataset.read(window=w)["time"]).tolist() for w in dataset.windows() if w != "metrics"}  # logged when it ran
    files = {name: artifact.read() for name, artifact in dataset.artifacts().items()}
    attributes = {name: value for name, value in dataset.attributes.items() if name not in {"started", "ended"}}
    return manifests, values, files, attributes, dataset.sealed


def see_canonical(disk: Disk) -> object:
    surface = opened(disk, "operations").canonical
    assert not [finding for key in surface for finding in surface[key].verify(deep=True)]
    return [told(surface[key]) for key in surface]


def see(name: str) -> See:
    def look(disk: Disk) -> object:
        surface = opened(disk, "operations").surface(name)
        assert not [finding for key in surface for finding in surface[key].verify(deep=True)]
        return {key: told(surface[key]) for key in surface}

    return look


def made(disk: Disk) -> None:
    opened(disk, "data-quality").canonical.create(KEY, PLAIN)


def filled(disk: Disk) -> None:
    made(disk)
    dataset = canonical(disk)
    dataset.append(plain(SMALL), token=("writer", 1))
    dataset.append(plain(LARGE, SMALL), coverage=("2024-08-08", "2024-08-09"))
    dataset.append(plain(SMALL, SMALL + LARGE))


def many(disk: Disk) -> None:
    """So many commits that the next is followed by a checkpoint."""
    filled(disk)
    dataset = canonical(disk)
    for number in range(12):
        dataset.append(plain(1, 10_000 + number))


def running(disk: Disk) -> None:
    filled(disk)
    run = opened(disk, "backtesting").experiments.run("experiment", "run")
    run.write("plain", plain(SMALL), PLAIN)


def seal(disk: Disk) -> None:
    store = opened(disk, "backtesting")
    run = arraystore.Run(store.experiments["experiment/run"])
    with run:
        run.read(store.canonical[KEY])
        run.log(sharpe=1.0)


def in_session(disk: Disk) -> None:
    opened(disk, "live").execution_records.session("live", "s").append("fills", {"time": [START], **FILL})


def record(disk: Disk) -> None:
    opened(disk, "live").execution_records.session("live", "s").append("fills", {"time": [START + 1], **FILL})


SCENARIOS = {
    "create": Scenario(lambda disk: opened(disk, "operations"), made, lambda disk: sorted(opened(disk, "operations").canonical)),
    "append a tail": Scenario(filled, lambda d: canonical(d).append(plain(SMALL, 20_000)), see_canonical),
    "append a tail with a token": Scenario(filled, lambda d: canonical(d).append(plain(1, 20_000), token=("writer", 2)), see_canonical),
    "append a segment": Scenario(filled, lambda d: canonical(d).append(plain(LARGE, 20_000)), see_canonical),
    "append to three windows": Scenario(
        filled,
        lambda d: canonical(d).append({"time": START + np.arange(LARGE * 3) * (DAY // LARGE), "size": np.zeros(LARGE * 3)}),
        see_canonical,
    ),
    "append and checkpoint": Scenario(many, lambda d: canonical(d).append(plain(SMALL, 20_000)), see_canonical),
    "replace": Scenario(filled, lambda d: canonical(d).replace("2024-08-08", plain(SMALL, 7), reason="r"), see_canonical),
    "complete": Scenario(filled, lambda d: canonical(d).update(window="2024-08-08", completeness="complete"), see_canonical),
    "add a file": Scenario(filled, lambda d: canonical(d).add_file(b"file" * 600_000, "file"), see_canonical),
    "replace a file": Scenario(
        lambda d: filled(d) or canonical(d).add_file(b"old", "file"), lambda d: canonical(d).add_file(b"new", "file"), see_canonical
    ),
    "write a series": Scenario(
        running,
        lambda d: arraystore.Run(opened(d, "backtesting").experiments["experiment/run"]).write("plain", plain(LARGE), PLAIN),
        see("experiments"),
    ),
    "seal a run": Scenario(running, seal, see("experiments")),
    "append to a session": Scenario(in_session, record, see("execution-records")),
    "close a session": Scenario(
        in_session, lambda d: opened(d, "live").execution_records.session("live", "s").close(), see("execution-records")
    ),
}


@contextmanager
def frequent_checkpoints() -> Iterator[None]:
    with mock.patch("arraystore.checkpoint.MINIMUM_LOG_BYTES", 4096):
        yield


@pytest.fixture(autouse=True)
def _checkpoints_are_frequent() -> Iterator[None]:
    with frequent_checkpoints():
        yield


def cuts(scenario: Scenario) -> Iterator[tuple[Disk, int, bool]]:
    """The disk at the moment of each possible cut, and whether the operation had been acknowledged."""
    prepared = Disk()
    scenario.setup(prepared)
    number, acknowledged = 0, False
    while not acknowledged:
        number += 1
        disk = prepared.copy()
        disk.cut_before = number
        try:
            scenario.act(disk)
            acknowledged = True
        except PowerCutError:
            pass
        yield disk, number, acknowledged


@pytest.mark.parametrize("name", SCENARIOS)
def test_after_a_cut_before_any_sync_everything_is_as_it_was_or_as_it_was_to_be(name: str) -> None:
    scenario = SCENARIOS[name]
    prepared = Disk()
    scenario.setup(prepared)
    before = scenario.see(prepared.copy())
    done = prepared.copy()
    scenario.act(done)
    after = scenario.see(done.copy())
    assert before != after
    outcomes = set()
    for disk, number, acknowledged in cuts(scenario):
        for fate in FATES:
            found = scenario.see(disk.after_cut(fate))
            assert found == after or (found == before and not acknowledged), (number, fate.__name__)
            outcomes.add(found == after)
    assert outcomes == {False, True}, "cuts fell before and after the moment that counts"
    assert number > 2


@pytest.mark.parametrize("name", ["create", "append a segment", "append and checkpoint", "replace", "complete", "append to a session"])
@pytest.mark.parametrize("fate", FATES)
def test_after_a_cut_the_next_writer_goes_on_without_repair(name: str, fate: Survivors) -> None:
    scenario = SCENARIOS[name]
    for disk, number, _ in cuts(scenario):
        up = disk.after_cut(fate)
        if name == "append to a session":
            session = opened(up, "live").execution_records.session("live", "s")
            found = session.recover()
            assert (found.gaps, found.repeated) == ((), ()), number
            assert session.append("fills", {"time": [START + 2], **FILL}).first == found.last_sequence + 1
            continue
        dataset = opened(up, "data-quality").canonical.create(KEY, PLAIN, exist_ok=True)
        count = dataset.read().row_count
        dataset.append(plain(SMALL, 50_000), reopen=True)
        dataset.append(plain(LARGE, 60_000))
        assert canonical(up).read().row_count == count + SMALL + LARGE, number
        assert not canonical(up).verify(deep=True)


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_token_that_is_sent_again_after_any_cut_counts_once(size: int) -> None:
    scenario = Scenario(filled, lambda d: canonical(d).append(plain(size, 20_000), token=("writer", 2)), see_canonical)
    for disk, number, _ in cuts(scenario):
        for fate in FATES:
            up = disk.after_cut(fate)
            scenario.act(up)
            assert canonical(up).read().row_count == 2 * SMALL + LARGE + size, (number, fate.__name__)


def test_init_that_is_cut_anywhere_can_be_repeated() -> None:
    number, done = 0, False
    while not done:
        number += 1
        disk = Disk(cut_before=number)
        try:
            opened(disk, "operations")
            done = True
        except PowerCutError:
            pass
        for fate in FATES:
            up = disk.after_cut(fate)
            made(up)
            assert sorted(opened(up, "operations").canonical) == [KEY], (number, fate.__name__)
    assert number > 7, "the store and six classes"


BUILT_UPON = {
    "an append": lambda disk: canonical(disk).append(plain(1, 90_000)),
    "a large append": lambda disk: canonical(disk).append(plain(LARGE, 90_000)),
    "a token sent again": lambda disk: canonical(disk).append(plain(SMALL, 20_000), token=("writer", 2)),
    "a file": lambda disk: canonical(disk).add_file(b"x", "x"),
    "lineage": lambda disk: (
        opened(disk, "data-quality").canonical.create(("venue", "other", "X"), PLAIN).append(plain(1), inputs=[canonical(disk).pin()])
    ),
}


@pytest.mark.parametrize("what", BUILT_UPON)
def test_who_builds_on_what_is_visible_makes_it_durable_first(what: str) -> None:
    """A writer dies between making its version visible and making it durable; meanwhile another built upon it, and was told so."""
    prepared = Disk()
    filled(prepared)
    newest = canonical(prepared).version
    for number in range(1, 30):
        disk = prepared.copy()
        seen: list[bool] = []

        def meanwhile(disk: Disk = disk, seen: list[bool] = seen) -> None:
            disk.locks.clear()  # correctness never depends on it
            seen.append(canonical(disk).version > newest)
            if seen[0]:
                BUILT_UPON[what](disk)
            disk.off = True

        disk.at_sync[number] = meanwhile
        with pytest.raises(PowerCutError):
            canonical(disk).append(plain(SMALL, 20_000), token=("writer", 2))
        if seen == [True]:
            break
    found = canonical(disk.after_cut(nothing))
    assert found.version == newest + 1 + (what in {"an append", "a large append", "a file"}), "what was built upon is there"
    assert not found.verify(deep=True)


def test_a_dataset_whose_birth_was_only_seen_is_made_durable_with_it() -> None:
    """Two make the same dataset; the first dies before its birth certificate is durable, the second is told that it is made."""
    for number in range(1, 12):
        disk = Disk()
        opened(disk, "operations")
        base = disk.syncs

        def meanwhile(disk: Disk = disk) -> None:
            disk.locks.clear()
            opened(disk, "data-quality").canonical.create(KEY, PLAIN, exist_ok=True).append(plain(SMALL))
            disk.off = True

        disk.at_sync[base + number] = meanwhile
        try:
            made(disk)
        except PowerCutError:
            found = canonical(disk.after_cut(nothing))
            assert found.read().row_count == SMALL, number
            assert not found.verify(deep=True)
