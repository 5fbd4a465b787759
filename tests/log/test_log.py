"""The log: dense versions, one winner per version, and a state that doesn't depend on how it was reached."""

import uuid
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from arraystore.errors import AlreadyExists, CommitUnknown, Corrupt, NotFound, PlanExpired, StorageError, Unsupported, VersionExpired
from arraystore.storage.base import Buffer
from arraystore.storage.local import LocalStorage
from arraystore.storage.memory import MemoryStorage
from arraystore.versions import checkpoint
from arraystore.versions.commit import SegmentEntry, WindowChange
from arraystore.versions.draft import Draft, draft_commit
from arraystore.versions.log import Log
from arraystore.versions.state import State
from layouts import schema_by_name
from layouts.naming import new_segment_name, version_name

PREFIX = "venue/feed/X"


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage(uuid.uuid4().hex)


@pytest.fixture
def log(storage: MemoryStorage) -> Log:
    return born(storage)


def born(storage: Any) -> Log:
    """A log with its `create` commit."""
    birth = {"attributes": {"arraystore": {"format": 1, "class": "canonical", "key": PREFIX.split("/"), "dataset": str(uuid.uuid4())}}}
    storage.create(f"{PREFIX}/zarr.json", msgspec.json.encode(birth))
    log = Log(storage, PREFIX)
    log.publish(lambda _: Draft(draft_commit("create", "tester", schemas=(schema_by_name("trades"),), schema=0)))
    return log


def add(log: Log, **fields: Any) -> State:
    """One more version."""
    return log.publish(lambda _: Draft(draft_commit("update", "tester", **fields)))


def segment(base: int = 0, rows: int = 1) -> SegmentEntry:
    """An entry as a writer would make it; nothing in the log looks at its files."""
    return SegmentEntry(
        schema=0, rows=rows, clocks={"time": (0, rows)}, bytes=100, segment=new_segment_name(base, uuid.uuid4().int), index="0" * 64
    )


def key(version: int) -> str:
    return f"{PREFIX}/_log/{version_name(version)}"


def grown(log: Log, versions: int) -> None:
    for number in range(versions):
        add(log, windows=(WindowChange(window=f"2024-01-{number % 28 + 1:02d}", add=(segment(),)),), attributes={"number": number})


def test_versions_are_dense_and_each_names_its_predecessor(log: Log) -> None:
    for expected in range(2, 40):
        assert add(log).version == expected
    digests = [log.record(version)[2] for version in range(1, 40)]
    previous = [log.record(version)[0].previous for version in range(2, 40)]
    assert previous == digests[:-1]


@pytest.mark.parametrize("hint", [None, b"1", b"0", b"7", b"99999", b"rubbish", b"-3", b""])
def test_the_head_is_found_whatever_the_hint_says(storage: MemoryStorage, log: Log, hint: bytes | None) -> None:
    grown(log, 70)
    if hint is None:
        storage.delete(f"{PREFIX}/_log/latest")
    else:
        storage.put(f"{PREFIX}/_log/latest", hint, durable=False)
    assert Log(storage, PREFIX).head().version == 71


def test_another_writers_versions_are_seen_and_built_upon(storage: MemoryStorage, log: Log) -> None:
    other = Log(storage, PREFIX)
    for number in range(30):
        state = add(log if number % 2 else other, attributes={f"n{number}": number})
    assert state.version == 31
    assert log.head().attributes == other.head().attributes == {f"n{number}": number for number in range(30)}


def test_a_lost_race_decides_again_on_what_the_winner_made(storage: MemoryStorage, log: Log) -> None:
    other, seen = Log(storage, PREFIX), []

    def decide(state: State) -> Draft:
        seen.append(state.version)
        if len(seen) == 1:
            other.publish(lambda _: Draft(draft_commit("update", "rival", attributes={"rival": True})), locked=True)
        return Draft(draft_commit("update", "tester", attributes={"saw_rival": "rival" in state.attributes}))

    state = log.publish(decide)
    assert seen == [1, 2]
    assert state.version == 3
    assert state.attributes == {"rival": True, "saw_rival": True}


class Unreliable(MemoryStorage):
    """Applies a create and then reports what it is told to."""

    outcome: Callable[[], Exception] | None = None
    applies = True

    def create(self, key: str, data: Buffer) -> None:
        outcome, self.outcome = self.outcome, None
        if outcome is None or self.applies:
            super().create(key, data)
        if outcome is not None:
            raise outcome()


@pytest.mark.parametrize(
    "outcome", [lambda: AlreadyExists("conflict with the own write"), lambda: StorageError(5, "timed out")], ids=["conflict", "failure"]
)
def test_a_create_that_worked_but_reports_failure_is_success(outcome: Callable[[], Exception]) -> None:
    storage = Unreliable(uuid.uuid4().hex)
    log = born(storage)
    storage.outcome = outcome
    assert add(log, attributes={"a": 1}).version == 2
    assert Log(storage, PREFIX).head().version == 2


def test_a_create_that_failed_is_a_plain_failure_and_can_be_repeated() -> None:
    storage = Unreliable(uuid.uuid4().hex)
    log = born(storage)
    storage.outcome, storage.applies = (lambda: StorageError(28, "no space left")), False
    with pytest.raises(StorageError, match="no space left"):
        add(log)
    assert log.head().version == 1
    assert add(log).version == 2


def test_a_create_that_may_have_worked_says_so() -> None:
    storage = Unreliable(uuid.uuid4().hex)
    log = born(storage)
    storage.outcome = lambda: CommitUnknown("the directory could not be synced")
    with pytest.raises(CommitUnknown):
        add(log)
    assert log.head().version == 2, "it was visible, and a reader may see it"


def test_states_are_the_same_from_checkpoint_and_from_the_first_commit(storage: MemoryStorage, log: Log) -> None:
    grown(log, 400)
    state = Log(storage, PREFIX).head()
    assert state.checkpoint is not None, "400 commits outweigh a checkpoint"
    for reached, folded in ((state, list(log.replay(401))[-1]), (log.at(200), list(log.replay(200))[-1])):
        assert (reached.version, reached.digest, reached.attributes) == (folded.version, folded.digest, folded.attributes)
        assert reached.window_names() == folded.window_names()
        assert [reached.window(name) for name in reached.window_names()] == [folded.window(name) for name in folded.window_names()]
        assert list(reached.summaries()) == list(folded.summaries())


def test_a_checkpoint_is_the_same_bytes_whoever_writes_it(storage: MemoryStorage, log: Log) -> None:
    grown(log, 400)
    version = log.head().checkpoint[0]  # type: ignore[index]
    folded = list(log.replay(version))[-1]
    assert checkpoint.encode_checkpoint(folded)[0] == storage.get(f"{PREFIX}/_checkpoints/{version_name(version)}")


def test_a_damaged_or_missing_checkpoint_is_passed_over(storage: MemoryStorage, log: Log) -> None:
    grown(log, 800)
    names = storage.list(f"{PREFIX}/_checkpoints").objects
    assert len(names) > 1
    for name in names:
        where = f"{PREFIX}/_checkpoints/{name}"
        data = bytearray(storage.get(where))
        data[len(data) // 2] ^= 4
        storage.put(where, bytes(data), durable=True)
    assert Log(storage, PREFIX).head().version == 801
    for name in names:
        storage.delete(f"{PREFIX}/_checkpoints/{name}")
    assert Log(storage, PREFIX).head().attributes == {"number": 799}


def test_checkpoints_cost_no_more_than_the_log(storage: MemoryStorage, log: Log) -> None:
    grown(log, 1000)
    weight = {
        folder: sum(storage.size(f"{PREFIX}/{folder}/{name}") for name in storage.list(f"{PREFIX}/{folder}").objects)
        for folder in ("_log", "_checkpoints", "_manifests")
    }
    assert weight["_checkpoints"] + weight["_manifests"] <= weight["_log"]


def test_a_flipped_bit_anywhere_in_a_commit_is_found(storage: MemoryStorage, log: Log) -> None:
    add(log, attributes={"a": "b"})
    add(log)
    good = storage.get(key(2))
    for position in range(len(good)):
        storage.put(key(2), good[:position] + bytes([good[position] ^ (1 << position % 8)]) + good[position + 1 :], durable=True)
        with pytest.raises((Corrupt, Unsupported), match=r"_log/0+2"):
            Log(storage, PREFIX).head()


def test_commits_that_are_exchanged_missing_or_from_elsewhere_are_found(storage: MemoryStorage, log: Log) -> None:
    grown(log, 5)
    good = {version: storage.get(key(version)) for version in range(1, 7)}
    stranger = MemoryStorage(uuid.uuid4().hex)
    grown(born(stranger), 5)
    for version, data in ((3, good[4]), (3, stranger.get(key(3))), (1, stranger.get(key(1)))):
        storage.put(key(version), data, durable=True)
        with pytest.raises(Corrupt):
            Log(storage, PREFIX).head()
        storage.put(key(version), good[version], durable=True)
    storage.delete(key(3))
    storage.put(f"{PREFIX}/_log/latest", b"6", durable=False)
    with pytest.raises(Corrupt, match="missing"):
        Log(storage, PREFIX).head()


@pytest.mark.parametrize(
    "change",
    [
        WindowChange(window="../../raw", add=()),
        WindowChange(window="a/b"),
        WindowChange(window=""),
        WindowChange(window="2024-01-01", remove=("1-" + "0" * 32,)),
        WindowChange(window="2024-01-01", completeness="maybe"),
        WindowChange(window="2024-01-01", add=(msgspec.structs.replace(segment(), segment="../../x"),)),
        WindowChange(window="2024-01-01", add=(msgspec.structs.replace(segment(), schema=7),)),
        WindowChange(window="2024-01-01", add=(msgspec.structs.replace(segment(), tail=1),)),
    ],
)
def test_a_crafted_change_is_refused_on_the_way_in(log: Log, change: WindowChange) -> None:
    with pytest.raises(Corrupt):
        add(log, windows=(change,))
    assert log.head().version == 1


def test_features_that_are_unknown_here_are_refused(storage: MemoryStorage, log: Log) -> None:
    with pytest.raises(Unsupported, match="time-machine"):
        add(log, requires=("time-machine",))


def test_times_never_order_versions_but_find_them(log: Log) -> None:
    start = log.head().running_time
    for step in (100, 50, 300, 200):
        log.publish(lambda _, step=step: Draft(draft_commit("update", "tester", clock=lambda: start + step)))  # type: ignore[misc]
    assert [log.record(version)[0].running_time - start for version in range(2, 6)] == [100, 100, 300, 300]
    assert [log.version_at(start + step) for step in (0, 99, 100, 299, 300, 10**18)] == [1, 1, 3, 3, 5, 5]
    with pytest.raises(NotFound):
        log.version_at(start - 1)


def test_below_the_floor_names_may_be_freed_and_what_appears_there_is_void(storage: MemoryStorage, log: Log) -> None:
    grown(log, 400)
    suspended = Log(storage, PREFIX)
    suspended._known = suspended.at(5)  # a writer that slept since version 5
    floor = log.head().checkpoint[0]  # type: ignore[index]
    log.publish_floor(floor)
    for version in range(1, floor + 1):
        storage.delete(key(version))
    fresh = Log(storage, PREFIX)
    assert fresh.head().version == 401
    assert fresh.at(floor + 1).version == floor + 1
    with pytest.raises(VersionExpired, match=str(floor + 1)):
        fresh.at(floor)
    state = add(suspended, attributes={"late": True})
    assert state.version == 402, "its first attempt, at version 6, was void"
    assert Log(storage, PREFIX).head().attributes["late"] is True


def test_a_segment_planned_below_the_floor_is_refused(log: Log) -> None:
    add(log, segment_floor=2)
    with pytest.raises(PlanExpired):
        add(log, windows=(WindowChange(window="2024-01-01", add=(segment(base=1),)),))
    assert add(log, windows=(WindowChange(window="2024-01-01", add=(segment(base=2),)),)).version == 3


def test_a_deleted_dataset_continues_the_numbering_as_another(log: Log) -> None:
    first = log.head().dataset
    add(log, state="deleted")
    assert not log.head().alive
    state = log.publish(
        lambda _: Draft(draft_commit("create", "tester", dataset=str(uuid.uuid4()), schemas=(schema_by_name("quotes"),), schema=0))
    )
    assert (state.version, state.alive, len(state.schemas)) == (3, True, 1)
    assert state.dataset != first


def test_on_a_disk_it_is_the_same(tmp_path: Any) -> None:
    storage = LocalStorage(tmp_path)
    log = born(storage)
    grown(log, 60)
    assert Log(LocalStorage(tmp_path), PREFIX).head().version == 61


class Looked(MemoryStorage):
    """Notes which objects are looked at, there or not."""

    def __init__(self) -> None:
        super().__init__(uuid.uuid4().hex)
        self.looks: list[str] = []

    def get_ranges(self, key: str, ranges: Any) -> list[bytes]:
        self.looks.append(key.rpartition("/")[2])
        return super().get_ranges(key, ranges)

    def exists(self, key: str) -> bool:
        self.looks.append(key.rpartition("/")[2])
        return super().exists(key)


def test_a_young_log_is_opened_with_a_look_at_each_commit_and_five_more() -> None:
    storage = Looked()
    grown(born(storage), 2)
    storage.looks.clear()
    assert Log(storage, PREFIX).head().version == 3
    assert storage.looks == ["latest", "zarr.json", *(version_name(each) for each in (1, 2, 3, 4, 5)), "floor"]


@pytest.mark.parametrize("versions", [1, 2, 15, 31, 32, 33, 34, 60])
def test_without_a_hint_a_log_of_any_length_is_what_its_writer_saw(storage: MemoryStorage, log: Log, versions: int) -> None:
    grown(log, versions - 1)
    storage.delete(f"{PREFIX}/_log/latest")
    found = Log(storage, PREFIX).head()
    assert (found.version, found.digest, found.attributes) == (versions, log.head().digest, log.head().attributes)
    assert list(found.summaries()) == list(log.head().summaries())


def test_a_young_log_that_lacks_a_commit_or_its_beginning_is_refused(storage: MemoryStorage, log: Log) -> None:
    grown(log, 5)
    for version in range(1, 6):
        held = storage.get(key(version))
        storage.delete(key(version))
        with pytest.raises(Corrupt, match=f"the commit of version {version}|{version_name(version)}"):
            Log(storage, PREFIX).head()
        storage.put(key(version), held, durable=True)
    assert Log(storage, PREFIX).head().version == 6


class Meanwhile(MemoryStorage):
    """The same objects, where something happens once, right after one of them was asked for."""

    def __init__(self, storage: MemoryStorage, after: str, happens: Callable[[], object]) -> None:
        super().__init__(storage.url.removeprefix("memory://"))
        self._after = after
        self._happens: Callable[[], object] | None = happens

    def get_ranges(self, key: str, ranges: Any) -> list[bytes]:
        try:
            return super().get_ranges(key, ranges)
        finally:
            if key == self._after and (happens := self._happens):
                self._happens = None
                happens()


def test_two_that_appear_while_a_young_log_is_read_are_seen(storage: MemoryStorage, log: Log) -> None:
    grown(log, 3)
    assert Log(Meanwhile(storage, key(5), lambda: grown(log, 2)), PREFIX).head().version == 6


@pytest.mark.parametrize("after", ["latest", version_name(1), version_name(3), version_name(9)])
def test_what_expires_while_a_young_log_is_read_isnt_missed(storage: MemoryStorage, log: Log, after: str) -> None:
    grown(log, 7)

    def expire() -> None:
        checkpoint.write_checkpoint(storage, PREFIX, log.at(6))
        log.publish_floor(6)
        for version in range(1, 7):
            storage.delete(key(version))
        storage.put(key(3), storage.get(key(7)), durable=True)  # nobody's any more

    found = Log(Meanwhile(storage, f"{PREFIX}/_log/{after}", expire), PREFIX).head()
    assert (found.version, found.attributes) == (8, {"number": 6})
