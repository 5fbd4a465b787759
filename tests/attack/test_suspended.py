"""Whoever is stopped in the midst of anything, past every floor and grace period, and goes on later: nothing is lost, doubled or half seen.

While it sleeps, perhaps with the lock in its hands, others that heed no lock (as those on another machine) append, compact, end all
versions but the newest, and collect all garbage at once.
"""

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import arraystore
from arraystore.storage import open_storage
from tests.attack.failing import Medium
from tests.attack.suspended import ACTS, BIG, DAYS, KEY, Found, Told, after, look, sleeper
from tests.store.conftest import DAY, START, rows

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs signals and /proc")


class Heedless(Medium):
    """No lock holds up whoever has this."""

    def opener(self, url: str, /, *, create: bool = False) -> Any:
        storage = super().opener(url, create=create)
        storage.lock = lambda _: _nothing()
        return storage


@contextmanager
def _nothing():
    yield


def made(url: str) -> None:
    """A dataset of two days, of segments and tails."""
    dataset = arraystore.open_store(url, role="analysis", create=True).derived.create(KEY, arraystore.schema_by_name("trades"))
    dataset.append(rows(BIG, START, 1000))
    dataset.append(rows(BIG, START, 1000, BIG))
    for day in range(2):
        dataset.append(rows(7, START + day * DAY, 1000, 20_000 + 10 * day))
    dataset.append(rows(BIG, START + DAY, 1000, 40_000))


def go_on(url: str) -> tuple[int, ...]:
    """What others do meanwhile, and the numbers of the rows that they add to the second day."""
    opener = Heedless(open_storage).opener
    dataset = arraystore.open_store(url, role="analysis", opener=opener).derived[KEY]
    operations = arraystore.open_store(url, role="operations", opener=opener)
    numbers = (60_000, 60_001, 60_002)
    dataset.append(rows(1, START + DAY, 1000, numbers[0]), reopen=True)
    operations.derived[KEY].compact()
    for number in numbers[1:]:
        dataset.append(rows(1, START + DAY, 1000, number), reopen=True)
        operations.expire("derived", keep_versions=1, delay="0s", dry_run=False)
        operations.gc("derived", grace="0s", dry_run=False)
    return numbers


def with_others(before: Found, numbers: tuple[int, ...]) -> Found:
    return before._replace(days={**before.days, DAYS[1]: before.days[DAYS[1]] + numbers})


def alike(found: Found) -> Found:
    """Others and the sleeper may come in either order."""
    return found._replace(days={name: tuple(sorted(numbers)) for name, numbers in found.days.items()})


def stop_at(place: Path, what: str, at: int) -> Told | None:
    """Stop it before its call number `at`, and let others go on; None if it made fewer."""
    url = str(place)
    made(url)
    before = look(url)
    with sleeper(url, what, at) as asleep:
        asleep.begin()
        if not asleep.sleeps():
            assert asleep.told().error == ""
            return None
        try:
            numbers = go_on(url)
        except arraystore.WindowClosed:  # it was sealed just now
            assert what == "seal"
            numbers = ()
        asleep.wake()
        told = asleep.told()
    found = look(url)
    absent = with_others(before, numbers)
    ways = [after(absent, what)] if not told.error else [absent]
    assert what != "append with a token" or not told.error, (at, told)
    if told.error == "CommitUnknown" or (told.error and what == "purge"):
        ways = [absent, after(absent, what)]
    assert told.error in ("", "Conflict", "PlanExpired", "WindowClosed", "CommitUnknown", "VersionExpired"), (at, told)
    assert alike(found) in [alike(way) for way in ways], (at, told)
    return told


FEW = {"append a tail": 12, "append a stream": 25, "replace": 29, "compact": 30, "purge": 8}


@pytest.mark.parametrize("what", FEW)
def test_a_sleeper_finishes_whole_or_not_at_all(tmp_path: Path, what: str) -> None:
    assert stop_at(tmp_path / "store", what, FEW[what]) is not None


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("what", ACTS)
def test_a_sleeper_stopped_at_any_call_finishes_whole_or_not_at_all(tmp_path: Path, what: str) -> None:
    outcomes: list[str] = []
    while (told := stop_at(tmp_path / str(len(outcomes)), what, len(outcomes) + 1)) is not None:
        outcomes.append(told.error)
    print(f"\n{what}: stopped at {len(outcomes)} calls: { ({each or 'done': outcomes.count(each) for each in outcomes}) }")  # noqa: T201
    assert len(outcomes) > 3
