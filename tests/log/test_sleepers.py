"""A writer that sleeps between creating its version and looking at the floor, while others go on and the past goes: never in twice."""

import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, override

import pytest

from arraystore.errors import CommitUnknown
from arraystore.storage.base import Buffer
from arraystore.storage.memory import MemoryStorage
from arraystore.upkeep.packing import Packer
from arraystore.versions import checkpoint
from arraystore.versions.commit import WindowChange
from arraystore.versions.draft import Draft, draft_commit
from arraystore.versions.log import Log
from tests.log.test_log import PREFIX, add, born, key, segment


class Sleepy(MemoryStorage):
    """Something happens after, or before, the next commit is created."""

    after: Callable[[], None] | None = None
    before: Callable[[], None] | None = None

    @override
    def lock(self, key: str) -> AbstractContextManager[None]:
        """Others are on another machine."""
        return nullcontext()

    @override
    def create(self, key: str, data: Buffer) -> None:
        if "/_log/" in key and self.before is not None:
            happens, self.before = self.before, None
            happens()
        super().create(key, data)
        if "/_log/" in key and self.after is not None:
            happens, self.after = self.after, None
            happens()


@pytest.fixture
def storage() -> Sleepy:
    return Sleepy(uuid.uuid4().hex)


def go_on(storage: Sleepy, *, keep: int, remove: tuple[str, ...] = ()) -> None:
    """Others add versions, take a segment out, and free all names but the newest `keep`."""
    others = Log(storage, PREFIX)
    for _ in range(4):
        add(others, attributes={"more": uuid.uuid4().hex})
    if remove:
        add(others, windows=(WindowChange(window="2024-01-01", remove=remove, reset=True),))
    state = others.head()
    floor = state.version - keep
    checkpoint.write_checkpoint(storage, PREFIX, others.at(floor))
    others.publish_floor(floor)
    for version in range(1, floor + 1):
        storage.delete(key(version))


def publish(log: Log, name: Any, token: tuple[str, int] | None = None) -> Any:
    """Add a segment, unless the token was there before."""

    def decide(state: Any) -> Draft | None:
        if token is not None and state.writers.get(token[0], (0, 0))[0] == token[1]:
            return None
        return Draft(draft_commit("append", "tester", windows=(WindowChange(window="2024-01-01", add=(name,)),), token=token))

    return log.publish(decide)


def segments(storage: Sleepy) -> list[str]:
    return [entry.segment for entry in Log(storage, PREFIX).head().window("2024-01-01").segments]


def test_what_the_newest_version_builds_on_is_acknowledged_once(storage: Sleepy) -> None:
    log, name = born(storage), segment()
    storage.after = lambda: go_on(storage, keep=1)
    assert publish(log, name).version == 2
    assert segments(storage) == [name.segment]
    assert add(log, attributes={"x": 1}).version == 7


def test_what_was_taken_in_by_others_and_left_no_trace_is_unknown(storage: Sleepy) -> None:
    log, name = born(storage), segment()
    storage.after = lambda: go_on(storage, keep=1, remove=(name.segment,))
    with pytest.raises(CommitUnknown, match="while its writer slept"):
        publish(log, name)
    assert segments(storage) == []


def test_a_token_tells_what_became_of_it(storage: Sleepy) -> None:
    log, name = born(storage), segment()
    storage.after = lambda: go_on(storage, keep=1, remove=(name.segment,))
    publish(log, name, ("w", 1))
    assert segments(storage) == []
    assert Log(storage, PREFIX).head().version == 7, "it isn't there twice"


@pytest.mark.parametrize("floor", [2, 3])
def test_the_digest_at_the_floor_or_the_next_version_tells(storage: Sleepy, floor: int) -> None:
    log, name = born(storage), segment()

    def happens() -> None:
        others = Log(storage, PREFIX)
        for _ in range(3):
            add(others, attributes={"more": 1})
        add(others, windows=(WindowChange(window="2024-01-01", remove=(name.segment,), reset=True),))
        checkpoint.write_checkpoint(storage, PREFIX, others.at(floor))
        others.publish_floor(floor)
        storage.delete(key(2))

    storage.after = happens
    assert publish(log, name).version == 2
    assert segments(storage) == []


def test_what_appears_below_the_floor_is_written_again_where_something_tells(storage: Sleepy) -> None:
    log, name = born(storage), segment()
    storage.before = lambda: go_on(storage, keep=1)
    with pytest.raises(CommitUnknown):
        publish(log, name)
    assert segments(storage) == []
    assert publish(log, name).version == 6
    storage.before = lambda: go_on(storage, keep=1)
    assert publish(log, segment(), ("w", 1)).version == 11, "a token tells"
    storage.before = lambda: go_on(storage, keep=3)
    assert publish(log, segment()).version == 16, "the digest at the floor does"
    assert len(segments(storage)) == 3


@pytest.mark.parametrize("first", [True, False])
def test_a_pack_tells_whose_version_it_holds(storage: Sleepy, monkeypatch: pytest.MonkeyPatch, first: bool) -> None:
    monkeypatch.setattr("arraystore.versions.checkpoint.is_due", lambda state: state.version % 3 == 0)
    log, name = born(storage), segment()

    def happens() -> None:
        others = Log(storage, PREFIX)
        for _ in range(6):
            add(others, attributes={"more": uuid.uuid4().hex})
        if first:
            add(others, windows=(WindowChange(window="2024-01-01", remove=(name.segment,), reset=True),))
        Packer(Log(storage, PREFIX), least=1).pack()
        assert not storage.exists(key(2))

    if first:
        storage.after = happens
    else:
        storage.before = happens
    assert publish(log, name).version == (2 if first else 8)
    assert segments(storage) == ([] if first else [name.segment])


@pytest.mark.parametrize("is_far", [False, True])
def test_a_handle_looks_before_it_creates_in_a_hole(storage: Sleepy, monkeypatch: pytest.MonkeyPatch, is_far: bool) -> None:
    log, name = born(storage), segment()
    go_on(storage, keep=1)
    if is_far:
        monkeypatch.setattr(Sleepy, "is_far", True)
        monkeypatch.setattr("arraystore.versions.log.FRESH_SECONDS", 0.0)
    assert publish(log, name).version == 6
    assert segments(storage) == [name.segment]
    assert not storage.exists(key(2))
