"""Two that look after a dataset, or one and a reader: what comes between any two of their steps loses and hides nothing."""

import sys
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from unittest import mock

import pytest

import arraystore
from arraystore.errors import InvalidInput
from arraystore.segments.index import forget_indexes
from arraystore.storage import Listing, MemoryStorage
from tests.maintenance.conftest import KEY, Opened, made, plain
from tests.maintenance.test_retention import collect, expire


class Steps:
    """Reads and removals of an opened store, counted; before one of them something else happens."""

    def __init__(self) -> None:
        self.count = 0
        self.at: int | None = None
        self.happening: Callable[[], object] = lambda: None

    def step(self) -> None:
        self.count += 1
        if self.count == self.at:
            self.happening()

    def opener(self, url: str, /, *, create: bool = False) -> "Stepped":
        del create
        name, _, prefix = url.removeprefix("memory://").partition("/")
        return Stepped(name, prefix, self)


class Stepped(MemoryStorage):
    """A memory of which every look is a step. It queues behind nobody: nothing depends on that."""

    def __init__(self, name: str, prefix: str, steps: Steps) -> None:
        super().__init__(name, prefix)
        self._steps = steps

    def get(self, key: str) -> bytes:
        self._steps.step()
        return super().get(key)

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        self._steps.step()
        return super().get_ranges(key, ranges)

    def exists(self, key: str) -> bool:
        self._steps.step()
        return super().exists(key)

    def list(self, prefix: str) -> Listing:
        self._steps.step()
        return super().list(prefix)

    def delete(self, key: str) -> None:
        self._steps.step()
        super().delete(key)

    def lock(self, key: str) -> AbstractContextManager[None]:
        del key
        return nullcontext()


def _open(url: str, role: str) -> arraystore.Store:
    return arraystore.open_store(url, role=role, create=True)


def interleaved(
    make: Callable[[Opened], object],
    prepare: Callable[[arraystore.Store], Callable[[], object]],
    second: Callable[[Opened], object],
    places: Iterable[int] = range(1, sys.maxsize),
) -> Iterator[Opened]:
    """Stores in which `second` happened before each of the steps (those at `places`) of what `prepare` returned, one after the other."""
    for at in places:
        url = f"memory://{uuid.uuid4().hex}"
        by_role = partial(_open, url)
        make(by_role)
        steps = Steps()
        first = prepare(arraystore.open_store(url, role="operations", opener=steps.opener))
        forget_indexes()
        steps.count, steps.at, steps.happening = 0, at, partial(second, by_role)
        first()
        if steps.count < at:
            return
        forget_indexes()
        yield by_role


def test_versions_that_stay_are_whole_though_others_expire_while_garbage_is_collected() -> None:
    def make(opened: Opened) -> None:
        dataset = made(opened)
        dataset.append(plain(3, 9))
        for number in range(4):
            dataset.replace("2024-08-08", plain(3, number), reason=f"correction {number}")
            dataset.append(plain(2, 3 + number), reopen=True)
        with mock.patch("arraystore.versions.log.Log.publish", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
            dataset.append(plain(3), completeness="complete")
        collect(opened)  # from now on all that lies there is below the segment floor

    def gone(opened: Opened) -> None:
        opened("operations").tag("kept", [opened("analysis").canonical[KEY].at(4).pin()])
        expire(opened, keep_versions=5)

    def look(store: arraystore.Store) -> Callable[[], object]:
        return lambda: store.gc("canonical", dry_run=False, grace="0s")

    for opened in interleaved(make, look, gone):
        dataset = opened("analysis").canonical[KEY]
        for version in (4, *range(opened("operations").canonical._log(KEY).floor() + 1, dataset.version + 1)):
            dataset.at(version).read()


def test_a_reader_finds_what_is_there_though_its_past_goes_while_it_looks() -> None:
    def make(opened: Opened) -> None:
        dataset = made(opened)
        dataset.append(plain(2))
        for number in range(4):
            dataset.update(attributes={"number": number})

    def gone(opened: Opened) -> None:
        opened("data-quality").canonical[KEY].append(plain(2, 2))
        expire(opened, keep_versions=2)
        collect(opened)

    def look(store: arraystore.Store) -> Callable[[], object]:
        def read() -> None:
            assert store.canonical.find() == [KEY]
            dataset = store.canonical[KEY]
            assert dataset.version in (6, 7)
            assert dataset.at(6).read().row_count == 2
            assert dataset.refresh().read().row_count in (2, 4)
            assert store.canonical.changes()[-1].version in (6, 7)

        return read

    for _ in interleaved(make, look, gone):
        pass


def test_what_came_after_an_expired_version_is_told_though_that_one_stays_for_its_rows(opened: Opened) -> None:
    dataset = made(opened)
    dataset.append(plain(2))
    analysis = opened("analysis").canonical
    cursor = analysis.changes().cursor
    [seen] = analysis.summaries()
    assert seen.version == 2
    for number in range(5):
        dataset.update(attributes={"number": number})
    expire(opened, keep_versions=2)
    collect(opened)
    assert [change.version for change in analysis.changes(cursor)] == [6, 7]
    [now] = analysis.summaries(reconcile=True)
    assert now.version == 7


def test_a_writer_that_slept_below_the_floor_finds_nothing_to_do_only_where_there_is_nothing(opened: Opened) -> None:
    dataset = made(opened)
    dataset.append(plain(2), token=("w", 1))
    other = opened("data-quality").canonical[KEY]
    other.update(attributes={"a": 1})
    other.append(plain(2, 2), token=("w", 2))
    other.append(plain(2, 4))
    expire(opened, keep_versions=1)
    collect(opened)
    with pytest.raises(InvalidInput, match="sequences must increase"):
        dataset.append(plain(2), token=("w", 1))


@pytest.mark.parametrize("what", ["update", "append"])
def test_a_writer_behind_all_that_is_kept_goes_on_at_once(opened: Opened, what: str) -> None:
    dataset = made(opened)
    dataset.append(plain(2))
    other = opened("data-quality").canonical[KEY]
    for number in range(3):
        other.append(plain(2, 2 * number))
    opened("operations").canonical[KEY].compact()
    expire(opened, keep_versions=1)
    collect(opened)
    receipt = dataset.append(plain(1, 9)) if what == "append" else dataset.update(attributes={"a": 1})
    assert receipt.version == opened("operations").canonical[KEY].version == 7
    assert dataset.refresh().verify(deep=True) == []
