"""Old commits lie in packs: all that was read is read on, the names they had are void, and nobody who is at work is fooled."""

import itertools
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

import arraystore
from arraystore.errors import AccessDenied, Corrupt, InvalidInput, Unsupported
from arraystore.segments.index import forget_indexes
from arraystore.storage import MemoryStorage
from arraystore.storage.base import Storage
from arraystore.upkeep.expiry import Expirer
from arraystore.upkeep.packing import Packing
from arraystore.upkeep.shipping import Shipment
from arraystore.versions.floors import Floor, load_floor
from arraystore.versions.log import Log
from arraystore.versions.packs import load_pack, packs_in
from layouts.naming import version_name
from tests.maintenance.conftest import KEY, Opened, made, maintained, plain, values
from tests.maintenance.test_interleaving import interleaved
from tests.maintenance.test_purge import LABEL, SECRET, everything, licensed
from tests.maintenance.test_retention import collect, expire
from tests.store.conftest import START

ADDRESS = "canonical/venue/trades/X"
PREFIX = "venue/trades/X"
LARGE = 10_000


@pytest.fixture(autouse=True)
def _checkpoints_are_frequent() -> Iterator[None]:
    with mock.patch("arraystore.versions.checkpoint.MINIMUM_LOG_BYTES", 4096):
        yield


def pack(opened: Opened, least: int = 2) -> Packing:
    return opened("operations").pack("canonical", dry_run=False, least=least)[ADDRESS]


def busy(opened: Opened, commits: int = 12) -> arraystore.Dataset:
    """Commits of every kind, most of them small."""
    dataset = made(opened)
    for number in range(commits):
        dataset.append(plain(2, 10 * number), token=("writer", number + 1), reopen=True)
        if number == commits // 3:
            dataset.append(plain(LARGE, 1_000))
            dataset.add_file(b"bytes", "file")
        if number == commits // 2:
            dataset.replace("2024-08-08", plain(3, 7), reason="wrong")
            dataset.update(attributes={"note": "x"})
    checkpointed(dataset)
    return dataset


def checkpointed(dataset: arraystore.Dataset) -> None:
    with mock.patch("arraystore.versions.checkpoint.is_due", return_value=True):
        dataset.append(plain(1, 9_998), reopen=True)
    dataset.append(plain(1, 9_999), reopen=True)


def log_of(opened: Opened) -> Log:
    return opened("operations").canonical._log(KEY)


def told(opened: Opened) -> object:
    """All that is told of a dataset at each of its versions."""
    dataset = maintained(opened)
    versions = dataset.versions()
    past = [dataset.at(version.number) for version in versions]
    return versions, [(values(view), view.digest, sorted(view.artifacts())) for view in past[::4]], dataset.verify()


def test_all_that_was_read_is_read_on(opened: Opened) -> None:
    dataset = busy(opened)
    before, held, digest = told(opened), values(dataset), dataset.refresh().digest
    plan = opened("operations").pack("canonical", least=2)[ADDRESS]
    assert told(opened) == before
    assert len(log_of(opened).objects()) == dataset.refresh().version, "a plan changes nothing"
    done = pack(opened)
    assert done == plan
    assert done.packs
    assert done.removed >= 10
    assert told(opened) == before
    assert (values(maintained(opened)), maintained(opened).digest) == (held, digest)
    log = log_of(opened)
    (packed,) = log.floor_record().packs
    assert not {version for version in log.objects() if version <= packed[1]}
    assert log.versions() == set(range(1, dataset.refresh().version + 1))
    assert opened("operations").lint() == []
    assert not opened("operations").verify(deep=True).findings
    assert pack(opened) == Packing(packs=(), removed=0)


def test_every_record_is_what_it_was_byte_for_byte(opened: Opened) -> None:
    busy(opened)
    before = {version: log_of(opened).raw(version) for version in log_of(opened).versions()}
    pack(opened)
    log = log_of(opened)
    assert {version: log.raw(version) for version in log.versions()} == before
    (packed,) = log.floor_record().packs
    assert load_pack(log.storage, PREFIX, packed)[0] == [before[version] for version in range(packed[0], packed[1] + 1)]


def test_handles_and_followers_from_before_go_on(opened: Opened) -> None:
    dataset = busy(opened)
    early = opened("analysis").canonical[KEY].at(3)
    follower = opened("analysis").canonical[KEY].at(3).follow(since=early.pin(), timeout=0)
    asleep = opened("analysis").canonical[KEY]
    asleep_version = asleep.version
    for number in range(20):
        dataset.append(plain(1, 900 + number), reopen=True)
    pack(opened)
    pack(opened)
    assert not early.is_newest()
    assert not asleep.is_newest()
    assert asleep.version == asleep_version
    assert asleep.refresh().version == dataset.refresh().version == maintained(opened).version
    seen = [update.version for update in follower]
    assert seen[-1] == dataset.version
    assert seen == sorted(set(seen))
    assert len(opened("analysis").canonical.changes()) == dataset.version
    assert dataset.diff(early.version) is not None


def test_packs_grow_by_doubling_and_no_commit_is_in_two(opened: Opened) -> None:
    dataset = made(opened)
    count = 0
    for _ in range(12):
        for _ in range(12):
            dataset.append(plain(1, count))
            count += 1
        pack(opened)
        packs = log_of(opened).floor_record().packs
        ends = [end for each in packs for end in each]
        assert ends == sorted(ends)
        assert sorted(packs_in(log_of(opened).storage, PREFIX)) == list(packs)
    assert 1 <= len(packs) <= 5
    assert len(values(maintained(opened))) == count
    assert [version.number for version in maintained(opened).versions()] == list(range(1, count + 2))


def test_a_long_commit_keeps_its_own_object(opened: Opened) -> None:
    with mock.patch("arraystore.upkeep.packing.RECORD_BYTES", 4096):
        dataset = made(opened)
        for number in range(12):
            dataset.append(plain(300 if number == 5 else 1, 500 * number))
        checkpointed(dataset)
        before = told(opened)
        pack(opened)
        floor = log_of(opened).floor_record()
        assert floor.packs[0] == (1, 6)
        assert floor.packs[1][0] == 8
        assert log_of(opened).has(7)
        assert 7 in log_of(opened).objects()
        assert told(opened) == before


# --- writers who slept ----------------------------------------------------------------------------------------------


def test_a_writer_that_slept_while_its_name_was_freed_finds_itself_void_and_lands(opened: Opened) -> None:
    dataset = busy(opened)
    dataset.refresh()
    true, slept = Log._create, []

    def late(self: Log, *args: Any) -> bool:
        if not slept:  # as on an object store: nobody queues
            slept.append(args[0])
            other = opened("data-quality").canonical[KEY]
            for number in range(30):
                other.append(plain(1, 600 + number), reopen=True)
            pack(opened)
        return true(self, *args)

    with mock.patch.object(Log, "_create", late), mock.patch.object(MemoryStorage, "lock", return_value=nullcontext()):
        receipt = dataset.append(plain(1, 999), token=("writer", 99))
    (name,) = slept
    assert log_of(opened).is_packed(int(name[-20:]))
    assert log_of(opened).storage.exists(name), "it was created, and is nobody's"
    version = maintained(opened).version
    assert receipt.version == version
    assert int(name[-20:]) < version
    rows = values(maintained(opened))
    assert [row[1] for row in rows].count(999.0) == 1
    assert not maintained(opened).verify(deep=True)
    assert [each.number for each in maintained(opened).versions()] == list(range(1, version + 1))
    assert maintained(opened).at(int(name[-20:])).digest != maintained(opened).digest
    assert pack(opened).removed >= 1
    assert not log_of(opened).storage.exists(name)


def test_void_names_and_wrong_hints_lead_nobody_astray(opened: Opened) -> None:
    dataset = busy(opened)
    old = {version: log_of(opened).raw(version) for version in (4, 5, 6, 7, 8)}
    before = told(opened)
    pack(opened)
    storage = log_of(opened).storage
    for planted in ((5,), (4, 5, 6), (4, 5, 6, 7, 8)):
        for version in planted:
            storage.put(f"{PREFIX}/_log/{version_name(version)}", old[11 - version if 11 - version in old else 4], durable=True)
        for hint in (b"5", b"4", b"999", b""):
            storage.put(f"{PREFIX}/_log/latest", hint, durable=True)
            assert maintained(opened).version == dataset.refresh().version
            assert told(opened) == before
    known = opened("data-quality").canonical[KEY]
    assert known.append(plain(1, 5_000), reopen=True).version == known.version


def test_a_name_in_a_hole_of_the_past_takes_no_reader_in(opened: Opened) -> None:
    """A reader that looked at the floor before it rose, and at the void object after."""
    dataset = busy(opened)
    reader = opened("analysis").canonical._log(KEY)
    reader.floor_record()  # before anything is packed
    wanted = {version: reader.at(version).digest for version in (2, 5, 9)}
    reader = opened("analysis").canonical._log(KEY)
    reader.floor_record()
    forged = log_of(opened).raw(dataset.refresh().version)
    pack(opened)
    for version in wanted:
        log_of(opened).storage.put(f"{PREFIX}/_log/{version_name(version)}", forged, durable=True)
    assert {version: reader.at(version).digest for version in wanted} == wanted
    assert [reader.record(version)[2] for version in wanted] == list(wanted.values())


def test_one_that_does_not_know_packs_refuses_and_acknowledges_nothing(opened: Opened) -> None:
    dataset = busy(opened)
    pack(opened)
    with mock.patch("arraystore.versions.record.KNOWN_FEATURES", frozenset({"purge", "window-lengths"})):
        with pytest.raises(Unsupported, match="packs"):
            opened("analysis").canonical[KEY].at(3)
        with pytest.raises(arraystore.ArrayStoreError, match="packs"):
            dataset.append(plain(1), reopen=True)


# --- two at once ----------------------------------------------------------------------------------------------------


def twice_as_long(opened: Opened) -> None:
    """A pack, and commits that would go into the next with it."""
    dataset = made(opened)
    for number in range(5):
        dataset.append(plain(1, 10 * number), token=("writer", number + 1))
    checkpointed(dataset)
    pack(opened)
    more(dataset, 700)


def more(dataset: arraystore.Dataset, first: int = 800) -> None:
    for number in range(6):
        dataset.append(plain(1, first + number), reopen=True)
    checkpointed(dataset)


def packing(store: arraystore.Store) -> Callable[[], object]:
    return lambda: store.pack("canonical", dry_run=False, least=2)


EACH = [pytest.param(1, id="each step", marks=pytest.mark.slow)]


@pytest.mark.parametrize("apart", [pytest.param(4, id="some steps"), *EACH])
@pytest.mark.parametrize("what", ["pack", "append and pack", "expire and collect", "purge"])
def test_whatever_comes_between_two_steps_of_packing(what: str, apart: int) -> None:
    def second(opened: Opened) -> None:
        if what == "append and pack":
            more(opened("data-quality").canonical[KEY])
        if what == "expire and collect":
            expire(opened, keep_versions=4)
            collect(opened)
        elif what == "purge":
            maintained(opened).purge("2024-08-08", reason="licence ended")
        else:
            pack(opened)

    # Each of them starts elsewhere, so that together they come upon every step.
    begin = 1 if apart == 1 else 1 + ["pack", "append and pack", "expire and collect", "purge"].index(what)
    for opened in interleaved(twice_as_long, packing, second, itertools.count(begin, apart)):
        pack(opened)
        dataset = maintained(opened)
        assert not dataset.verify(deep=True)
        assert not opened("operations").verify(["canonical"], deep=True).findings
        floor = log_of(opened).floor()
        assert [version.number for version in dataset.versions()] == list(range(floor + 1, dataset.version + 1))
        if what == "purge":
            log = log_of(opened)
            for packed in packs_in(log.storage, PREFIX):
                for version in range(packed[0], packed[1] + 1):
                    commit = log.record(version)[0]
                    assert {change.window for change in commit.windows if change.tail} <= set(commit.purged), version


@pytest.mark.slow
def test_a_reader_beside_a_packer_sees_whole_versions() -> None:
    def look(store: arraystore.Store) -> Callable[[], object]:
        count, early = len(values(store.canonical[KEY])), values(store.canonical[KEY].at(5))

        def read() -> None:
            dataset = store.canonical[KEY]
            head = dataset.version
            assert len(values(dataset)) in {count, count + 8}
            assert dataset.at(5).version == 5
            assert values(dataset.at(5)) == early
            assert len(dataset.at(7).versions()) == 7
            assert dataset.refresh().version >= head
            assert store.canonical.changes()[-1].version >= head

        return read

    def second(opened: Opened) -> None:
        more(opened("data-quality").canonical[KEY])
        pack(opened)

    for opened in interleaved(twice_as_long, look, second):
        assert not maintained(opened).verify(deep=True)


def test_who_looks_for_the_newest_version_beside_a_packer_finds_it() -> None:
    def look(store: arraystore.Store) -> Callable[[], object]:
        log = store.canonical._log(KEY)
        known = log.head().version
        return lambda: seen.append((known, log.head().version, log.is_newest(known), store.canonical._log(KEY).newest()))

    def second(opened: Opened) -> None:
        more(opened("data-quality").canonical[KEY])
        pack(opened)

    seen: list[tuple[int, int, bool, int]] = []
    for _ in interleaved(twice_as_long, look, second):
        known, head, newest, galloped = seen.pop()
        assert head in {known, known + 8}
        assert galloped in {head, known + 8}
        assert newest <= (head == known)


def test_writers_readers_and_packers_at_once(tmp_path: Path) -> None:
    def by_role(role: str) -> arraystore.Store:
        return arraystore.open_store(tmp_path / "store", role=role, create=True)

    made(by_role)

    def write(writer: int) -> None:
        dataset = by_role("data-quality").canonical[KEY]
        for number in range(40):
            dataset.append(plain(1, 1_000 * writer + number), token=(f"w{writer}", number + 1))

    def maintain(_: int) -> None:
        for _ in range(12):
            pack(by_role)

    def read(_: int) -> None:
        seen = 0
        for _ in range(15):
            dataset = by_role("analysis").canonical[KEY]
            assert dataset.version >= seen
            seen = dataset.version
            assert len(values(dataset)) == seen - 1
            assert len(values(dataset.at(max(1, seen // 2)))) == max(1, seen // 2) - 1

    with ThreadPoolExecutor(6) as pool:
        jobs = [pool.submit(step, number) for number, step in enumerate((write, write, maintain, maintain, read, read), start=1)]
        for job in jobs:
            job.result()
    pack(by_role)
    assert sorted(row[1] for row in values(maintained(by_role))) == sorted([1_000.0 * w + n for w in (1, 2) for n in range(40)])
    assert not maintained(by_role).verify(deep=True)
    assert log_of(by_role).floor_record().packs


# --- beside other maintenance -----------------------------------------------------------------------------------------


def test_a_purge_leaves_not_a_byte_in_packs(opened: Opened) -> None:
    licensed(opened)
    dataset = opened("data-quality").canonical[KEY]
    for number in range(20):
        dataset.update(attributes={"n": number})
    pack(opened)
    import numpy as np

    storage = dataset._log.storage
    assert isinstance(storage, MemoryStorage)
    secret = np.float64(SECRET).tobytes()
    assert [key for key, data in everything(storage).items() if "_packs" in key and secret in data]
    maintained(opened).purge("2024-08-08", reason="licence ended")
    assert [key for key, data in everything(storage).items() if secret in data or LABEL.encode() in data] == []
    with pytest.raises(arraystore.Purged, match="licence ended"):
        maintained(opened).at(3).read(window="2024-08-08")
    assert not opened("operations").verify(deep=True).findings
    assert not opened("operations").audit().findings


def test_expired_packs_go_and_those_with_what_stays_stay(opened: Opened) -> None:
    dataset = busy(opened)
    pin = dataset.at(6).pin()
    opened("data-quality").tag("kept", [pin])
    wanted = values(opened("operations").open_pin(pin))
    pack(opened)
    for number in range(40):
        dataset.append(plain(1, 600 + number), reopen=True)
    with mock.patch("arraystore.upkeep.packing.PACK_BYTES", 1 << 14):
        pack(opened)
    assert len(log_of(opened).floor_record().packs) > 1
    now = values(dataset.refresh())
    expire(opened, keep_versions=1)
    plan = opened("operations").gc("canonical", grace="0s")[ADDRESS]
    done = collect(opened)
    assert [item.path for item in done.items] == [item.path for item in plan.items]
    assert values(opened("operations").open_pin(pin)) == wanted
    assert values(maintained(opened)) == now
    assert not opened("operations").verify(deep=True).findings
    maintained(opened).compact()
    opened("data-quality").tag("kept", [dataset.refresh().pin()])
    for number in range(3):
        dataset.refresh().update(attributes={"n": number})
    expire(opened, keep_versions=1)
    collect(opened)
    assert values(maintained(opened)) == now
    assert opened("operations").lint() == []


def test_what_an_interrupted_packing_left_goes_with_the_next_or_with_garbage(opened: Opened) -> None:
    busy(opened)
    before = told(opened)
    storage = log_of(opened).storage
    saved = {version: log_of(opened).raw(version) for version in (3, 4)}
    pack(opened)
    for version, data in saved.items():
        storage.put(f"{PREFIX}/_log/{version_name(version)}", data, durable=True)
    storage.put(f"{PREFIX}/_packs/{version_name(1)}-{version_name(7)}", b"half", durable=True)
    assert told(opened) == before
    assert [each.kind for each in opened("operations").lint()] == ["garbage"] * 3 if opened("operations").lint() else True
    assert pack(opened) == Packing(packs=(), removed=3)
    assert told(opened) == before


def test_only_operations_packs_and_bad_arguments_are_told(opened: Opened) -> None:
    busy(opened, 3)
    with pytest.raises(AccessDenied):
        opened("data-quality").pack("canonical")
    with pytest.raises(InvalidInput, match="least"):
        opened("operations").pack("canonical", least=1)
    assert pack(opened, least=256) == Packing(packs=(), removed=0)


# --- copies and damage ------------------------------------------------------------------------------------------------


@pytest.fixture
def on_disk(tmp_path: Path) -> Opened:
    return lambda role: arraystore.open_store(tmp_path / "store", role=role, create=True)


def test_a_copy_of_what_is_packed_reads_the_same_and_can_be_packed_itself(on_disk: Opened, tmp_path: Path) -> None:
    dataset = busy(on_disk)
    operations = on_disk("operations")
    operations.copy(tmp_path / "early")
    pack(on_disk)
    before = told(on_disk)
    dataset.append(plain(1, 5_000), reopen=True)
    for name in ("early", "late"):
        assert not operations.copy(tmp_path / name).problems
        copied: Opened = lambda role, name=name: arraystore.open_store(tmp_path / name, role=role)  # noqa: E731
        assert not copied("operations").verify(deep=True).findings
        pack(copied)
        assert told(copied) == told(on_disk)
        dataset.append(plain(1, 5_001), reopen=True)
        assert not operations.copy(tmp_path / name).problems
        assert maintained(copied).digest == maintained(on_disk).digest
    assert told(on_disk) != before


def test_a_copy_begun_behind_a_floor_has_packs_of_its_own_only(on_disk: Opened, tmp_path: Path) -> None:
    dataset = busy(on_disk)
    pack(on_disk)
    expire(on_disk, keep_versions=5)
    for number in range(20):
        dataset.refresh().append(plain(1, 600 + number), reopen=True)
    pack(on_disk)
    assert not on_disk("operations").copy(tmp_path / "copy").problems
    copy: Opened = lambda role: arraystore.open_store(tmp_path / "copy", role=role)  # noqa: E731
    assert log_of(copy).floor_record().packs == ()
    assert values(maintained(copy)) == values(maintained(on_disk))
    assert not copy("operations").verify(deep=True).findings


def damage(storage: Storage, what: str) -> None:
    (name,) = storage.list(f"{PREFIX}/_packs").objects
    key = f"{PREFIX}/_packs/{name}"
    data = bytearray(storage.get(key))
    match what:
        case "missing":
            return storage.delete(key)
        case "floor missing":
            return storage.delete(f"{PREFIX}/_log/floor")
        case "floor damaged":
            return storage.put(f"{PREFIX}/_log/floor", b"nothing", durable=True)
        case "cut":
            del data[len(data) // 2 :]
        case _:
            data[{"first line": 60, "header": 200, "table": 500, "record": len(data) // 2}[what]] ^= 0x40
    return storage.put(key, bytes(data), durable=True)


@pytest.mark.parametrize("what", ["missing", "first line", "header", "table", "record", "cut", "floor missing", "floor damaged"])
def test_damage_is_never_read_is_found_and_is_repaired(opened: Opened, what: str) -> None:
    busy(opened)
    pack(opened)
    wanted = told(opened)
    copy = f"memory://{uuid.uuid4().hex}"
    opened("operations").copy(copy)
    digests = {version.number: version.digest for version in maintained(opened).versions()}
    damage(log_of(opened).storage, what)
    forget_indexes()
    for version, digest in digests.items():
        try:
            assert maintained(opened).at(version).digest == digest
        except arraystore.ArrayStoreError:
            continue
    assert opened("operations").verify(deep=True).findings
    opened("operations").repair(copy)
    assert not opened("operations").verify(deep=True).findings
    assert told(opened) == wanted


def test_without_a_copy_the_rest_of_a_damaged_pack_stays_readable(opened: Opened) -> None:
    busy(opened)
    pack(opened)
    before = {version.number: version.digest for version in maintained(opened).versions()}
    damage(log_of(opened).storage, "record")
    lost = []
    log = log_of(opened)
    for version, digest in before.items():
        try:
            assert log.record(version)[2] == digest
        except Corrupt:
            lost.append(version)
    assert len(lost) == 1
    assert opened("operations").repair().unrepaired
    assert [version for version in before if version not in lost and log.record(version)[2] != before[version]] == []


@pytest.mark.parametrize("bits", [400])
def test_no_flipped_bit_of_a_pack_is_read_as_another_commit(opened: Opened, bits: int) -> None:
    busy(opened, 12)
    pack(opened)
    log = log_of(opened)
    (packed,) = log.floor_record().packs
    (name,) = log.storage.list(f"{PREFIX}/_packs").objects
    key = f"{PREFIX}/_packs/{name}"
    whole = log.storage.get(key)
    right = [log.record(version)[2] for version in range(packed[0], packed[1] + 1)]
    for number in range(bits):
        flipped = bytearray(whole)
        place = number * len(whole) // bits
        flipped[place] ^= 1 << (number % 8)
        log.storage.put(key, bytes(flipped), durable=True)
        reader = log_of(opened)
        for version in range(packed[0], packed[1] + 1):
            try:
                assert reader.record(version)[2] == right[version - packed[0]]
            except (Corrupt, Unsupported):
                continue
        with pytest.raises((Corrupt, Unsupported)):
            load_pack(log.storage, PREFIX, packed)


@pytest.mark.parametrize(
    "packs",
    [((2, 1),), ((1, 5), (5, 9)), ((4, 6), (1, 2)), ((0, 3),), ((1, 9), (2, 3))],
    ids=["backwards", "touching", "unsorted", "zero", "inside"],
)
def test_a_floor_whose_packs_cannot_be_is_refused(packs: Any) -> None:
    from arraystore.versions.record import encode_record

    storage: Storage = MemoryStorage(uuid.uuid4().hex)
    storage.create("d/_log/floor", encode_record("floor", Floor().with_packs(packs))[0])
    with pytest.raises(Corrupt, match="follow each other"):
        load_floor(storage, "d")


def test_the_store_that_was_packed_can_be_moved_as_files(on_disk: Opened, tmp_path: Path) -> None:
    busy(on_disk)
    pack(on_disk)
    shutil.copytree(tmp_path / "store", tmp_path / "moved")
    moved: Opened = lambda role: arraystore.open_store(tmp_path / "moved", role=role)  # noqa: E731
    assert told(moved) == told(on_disk)


def test_a_copy_taken_while_the_floor_rises_has_what_its_floor_names(opened: Opened) -> None:
    dataset = busy(opened)
    expire(opened, keep_versions=12)
    true, risen = Shipment._bring, []

    def late(self: Shipment, group: Any) -> None:
        if not risen:
            risen.append(None)
            dataset.refresh().replace("2024-08-08", plain(3, 50), reason="r")
            expire(opened, keep_versions=1)
            collect(opened)
        true(self, group)

    copy = f"memory://{uuid.uuid4().hex}"
    with mock.patch.object(Shipment, "_bring", late):
        assert [each.problem for each in opened("operations").copy(copy).problems] == []
    assert not opened("operations").copy(copy).problems
    copied: Opened = lambda role: arraystore.open_store(copy, role=role)  # noqa: E731
    assert not copied("operations").verify(deep=True).findings
    assert values(maintained(copied)) == values(maintained(opened))


def test_two_expirers_without_a_lock_lower_no_floor_and_lose_nothing_kept(opened: Opened) -> None:
    dataset = busy(opened)
    opened("data-quality").tag("kept", [dataset.at(6).pin()])
    true, raced = MemoryStorage.swap, []

    def late(self: MemoryStorage, key: str, data: Any, before: bytes | None) -> None:
        if key.endswith("/floor") and len(raced) < 2:
            raced.append(len(raced))
            expire(opened, keep_versions=1 if len(raced) == 2 else 3)
            floors.append(log_of(opened).floor())
        true(self, key, data, before)

    floors: list[int] = []
    with mock.patch.object(MemoryStorage, "swap", late), mock.patch.object(MemoryStorage, "lock", return_value=nullcontext()):
        expire(opened, keep_versions=8)
    assert floors
    assert log_of(opened).floor() == max(floors)
    assert dataset.at(6).version == 6
    assert not opened("operations").verify(deep=True).findings


def test_an_expirer_that_another_one_overtook_finds_less_to_do(opened: Opened) -> None:
    head = busy(opened).version
    true, raced = Expirer._publish, []

    def late(self: Expirer, plan: Any) -> None:
        if not raced:
            raced.append(plan.target)
            for _ in range(2):  # what was marked already, and then the rest
                expire(opened, keep_versions=1)
            collect(opened)
        true(self, plan)

    with mock.patch.object(Expirer, "_publish", late), mock.patch.object(MemoryStorage, "lock", return_value=nullcontext()):
        expire(opened, keep_versions=8)
    assert raced
    assert log_of(opened).floor() == head - 1 > raced[0]
    assert not opened("operations").verify(deep=True).findings


AGAIN = """
import sys
import numpy as np
import arraystore
rows = {"time": np.array([int(sys.argv[2])]), "size": np.array([7.0])}
for line in sys.stdin:  # each time as who has just begun: nothing is kept from the time before
    dataset = arraystore.open_store(sys.argv[1], role="data-quality").canonical["venue", "trades", "X"]
    receipt = dataset.append(rows, token=("w", 5), reopen=True)
    print(receipt.version, dataset.version, flush=True)
"""


def test_a_token_sent_again_from_another_process_returns_the_first_commit(on_disk: Opened, tmp_path: Path) -> None:
    def expired() -> None:
        expire(on_disk, keep_versions=1)
        collect(on_disk)

    def packed() -> None:
        checkpointed(dataset)
        assert pack(on_disk).packs
        assert log_of(on_disk).is_packed(first)

    dataset = made(on_disk)
    dataset.append(plain(3))
    steps = {
        "nothing": lambda: None,
        "an append": lambda: dataset.refresh().append(plain(3, 20)),
        "checkpointing": lambda: checkpointed(dataset.refresh()),
        "compaction": lambda: maintained(on_disk).compact(),
        "packing": packed,
        "packing once more": lambda: (more(dataset.refresh()), pack(on_disk)),
        "expiry": expired,
    }
    command = [sys.executable, "-c", AGAIN, str(tmp_path / "store"), str(START + 9)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:

        def send() -> list[int]:
            assert other.stdin is not None
            assert other.stdout is not None
            other.stdin.write("again\n")
            other.stdin.flush()
            return [int(word) for word in other.stdout.readline().split()]

        first, _ = send()
        for what, step in steps.items():
            step()
            assert send() == [first, maintained(on_disk).version], what
        assert other.stdin is not None
        other.stdin.close()
    assert other.returncode == 0
    assert [row[1] for row in values(maintained(on_disk))].count(7.0) == 1


@pytest.mark.slow
@pytest.mark.parametrize("what", ["compaction", "checkpointing", "expiry", "packing"])
def test_a_token_sent_again_after_one_thing_alone_returns_the_first_commit(on_disk: Opened, what: str) -> None:
    dataset = made(on_disk)
    dataset.append(plain(3))
    first = on_disk("data-quality").canonical[KEY].append(plain(1, 7), token=("w", 5), reopen=True).version
    dataset.refresh().append(plain(3, 20))
    if what in ("checkpointing", "packing"):
        checkpointed(dataset)
    if what == "compaction":
        maintained(on_disk).compact()
    if what == "packing":
        assert pack(on_disk).packs
        assert log_of(on_disk).is_packed(first)
    if what == "expiry":
        expire(on_disk, keep_versions=1)
        collect(on_disk)
    head = maintained(on_disk).version
    again = on_disk("data-quality").canonical[KEY]
    assert (again.append(plain(1, 7), token=("w", 5), reopen=True).version, again.version) == (first, head)
    assert [row[1] for row in values(maintained(on_disk))].count(7.0) == 1
