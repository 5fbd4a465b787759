"""Power is cut before every sync of every operation: what was acknowledged stays, what wasn't is whole or absent, and work goes on."""

import logging
from collections import Counter
from collections.abc import Iterator
from unittest import mock

import pytest

from tests.attack.power import FATES, Disk, PowerCutError, Survivors, nothing
from tests.attack.scenarios import (
    FILL,
    KEY,
    LARGE,
    OF_SEVERAL_STEPS,
    PLAIN,
    SCENARIOS,
    SMALL,
    Scenario,
    at_every_version,
    canonical,
    collect,
    expired,
    filled,
    made,
    opened,
    pack,
    packed,
    plain,
    session,
    with_past,
)
from tests.store.conftest import START


@pytest.fixture(autouse=True)
def _checkpoints_are_frequent() -> Iterator[None]:
    with mock.patch("arraystore.versions.checkpoint.MINIMUM_LOG_BYTES", 4096):
        yield


def prepared_by(scenario: Scenario) -> Disk:
    disk = Disk()
    scenario.setup(disk)
    return disk


def cuts(scenario: Scenario, prepared: Disk | None = None) -> Iterator[tuple[Disk, int, bool]]:
    """The disk at the moment of each possible cut, and whether the operation had been acknowledged."""
    prepared = prepared or prepared_by(scenario)
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


def states_seen(scenario: Scenario, prepared: Disk) -> list[object]:
    """What readers see while it is done, before each of its syncs, from what was before to what is after."""
    disk, seen = prepared.copy(), [scenario.see(prepared.copy())]

    def look() -> None:
        seen.append(scenario.see(disk.copy()))
        disk.at_sync[disk.syncs + 1] = look

    disk.at_sync[1] = look
    scenario.act(disk)
    disk.at_sync.clear()
    seen.append(scenario.see(disk))
    return [state for number, state in enumerate(seen) if state not in seen[:number]]


def try_every_cut(name: str, bound: int) -> Counter[str]:
    """Have the disk come up in all ways after each cut (see `Disk.ways_up`); how many there were."""
    scenario = (SCENARIOS | OF_SEVERAL_STEPS)[name]
    prepared = prepared_by(scenario)
    states = states_seen(scenario, prepared)
    before, after = states[0], states[-1]
    assert before != after
    assert len(states) == 2 or name in OF_SEVERAL_STEPS
    known: dict[frozenset[tuple[str, bytes]], object] = {}
    counts: Counter[str] = Counter()
    outcomes = set()
    for disk, number, acknowledged in cuts(scenario, prepared):
        counts["cuts"] += 1
        for up in disk.ways_up(bound, seed=number):
            state = up.state
            if state not in known:
                known[state] = scenario.see(up)
            found = known[state]
            assert found == after or (found in states and not acknowledged), number
            outcomes.add(found == after)
            counts["ways"] += 1
    assert outcomes == {False, True}, "cuts fell before and after the moment that counts"
    assert counts["cuts"] > 2
    return counts


@pytest.mark.parametrize("name", [*SCENARIOS, *OF_SEVERAL_STEPS])
def test_after_a_cut_before_any_sync_everything_is_as_it_was_or_as_it_was_to_be(name: str) -> None:
    try_every_cut(name, bound=4)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", [*SCENARIOS, *OF_SEVERAL_STEPS])
def test_after_a_cut_all_that_may_have_become_of_what_was_not_synced_is_as_good(name: str) -> None:
    """Every combination where there are at most 512: nine changes that are there or not, three whose bytes may be torn as well."""
    counts = try_every_cut(name, bound=512)
    logging.getLogger(__name__).info("%s: %d cuts, %d ways to come up", name, counts["cuts"], counts["ways"])


@pytest.mark.parametrize("name", ["create", "append a segment", "append and checkpoint", "replace", "complete", "append to a session"])
@pytest.mark.parametrize("fate", FATES)
def test_after_a_cut_the_next_writer_goes_on_without_repair(name: str, fate: Survivors) -> None:
    scenario = SCENARIOS[name]
    for disk, number, _ in cuts(scenario):
        up = disk.after_cut(fate)
        if name == "append to a session":
            again = session(up)
            found = again.recover()
            assert (found.gaps, found.repeated) == ((), ()), number
            assert again.append("fills", {"time": [START + 2], **FILL}).first == found.last_sequence + 1
            continue
        dataset = opened(up, "data-quality").canonical.create(KEY, PLAIN, exist_ok=True)
        count = dataset.read().row_count
        dataset.append(plain(SMALL, 50_000), reopen=True)
        dataset.append(plain(LARGE, 60_000))
        assert canonical(up).read().row_count == count + SMALL + LARGE, number
        assert not canonical(up).verify(deep=True)


def test_packing_may_take_as_many_goes_as_power_allows() -> None:
    """Commits' own objects may be back after a cut, or half of them: what is in packs counts, and the next run ends what the last began."""
    prepared = Disk()
    packed(prepared)
    readable = at_every_version(prepared.copy())
    for disk, number, _ in cuts(Scenario(packed, pack, at_every_version), prepared):
        for fate in FATES:
            up = disk.after_cut(fate)
            assert at_every_version(up) == readable, (number, fate.__name__)
            pack(up)
            assert at_every_version(up) == readable, (number, fate.__name__)
            done = pack(up)
            assert (done.packs, done.removed) == ((), 0)


def test_garbage_may_be_collected_in_as_many_goes_as_power_allows() -> None:
    """What was removed may be back after a cut, or half of it: it stays garbage, and all that is readable stays so."""
    scenario = Scenario(expired, collect, with_past)
    prepared = Disk()
    expired(prepared)
    readable = with_past(prepared.copy())
    for disk, number, _ in cuts(scenario):
        for fate in FATES:
            up = disk.after_cut(fate)
            assert with_past(up) == readable, (number, fate.__name__)
            collect(up)
            assert with_past(up) == readable, (number, fate.__name__)
            assert collect(up).items == ()


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_token_that_is_sent_again_after_any_cut_counts_once(size: int) -> None:
    scenario = Scenario(filled, lambda d: canonical(d).append(plain(size, 20_000), token=("writer", 2)))
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
