"""What goes and what stays: floors, pins, tags, delays, clocks, suspended writers, links, and dying anywhere."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

import arraystore
from arraystore.datasets.compaction import Compactor
from arraystore.datasets.writer import Writer
from arraystore.errors import AccessDenied, Corrupt, InvalidInput, PlanExpired, VersionExpired
from arraystore.segments.index import forget_indexes
from arraystore.storage import LocalStorage
from arraystore.upkeep.garbage import objects_below
from arraystore.upkeep.maintenance import pinned_versions
from arraystore.versions import checkpoint
from arraystore.versions.draft import Draft, draft_commit
from layouts.classes import StorageClass
from layouts.retention import DAY_NS, RETENTION, retention_of
from tests.maintenance.conftest import KEY, Opened, made, maintained, plain, schema_of, values
from tests.store.conftest import START

ADDRESS = "canonical/venue/trades/X"
LARGE = 10_000
YEARS = 10 * 365 * DAY_NS
NOW = arraystore.parse_time("2030-01-01")


def expire(opened: Opened, **options: Any) -> Any:
    return opened("operations").expire("canonical", dry_run=False, **{"delay": "0s", **options})[ADDRESS]


def collect(opened: Opened, **options: Any) -> Any:
    return opened("operations").gc("canonical", dry_run=False, **{"grace": "0s", **options})[ADDRESS]


def corrected(opened: Opened, times: int = 3) -> arraystore.Dataset:
    """A dataset whose window was corrected; each version has a segment of its own."""
    dataset = made(opened)
    dataset.append(plain(LARGE))
    for number in range(1, times):
        dataset.replace("2024-08-08", plain(LARGE, number), reason=f"correction {number}")
    return dataset


# --- gc -----------------------------------------------------------------------------------------------------------------


def test_nothing_that_a_version_names_is_garbage(opened: Opened) -> None:
    dataset = corrected(opened)
    maintained(opened).compact()
    dataset.add_file(b"old", "file")
    dataset.add_file(b"new", "file")
    assert collect(opened).items == ()
    for version in range(1, dataset.version + 1):
        values(dataset.at(version))
    assert not dataset.verify(deep=True)


def test_looking_is_the_default_and_changes_nothing(opened: Opened) -> None:
    dataset = corrected(opened)
    expire(opened, keep_versions=1)
    version = dataset.refresh().version
    found = opened("operations").gc(grace="0s")[ADDRESS]
    assert not found.removed
    assert {item.kind for item in found.items} == {"segment", "commit"}
    assert found.bytes == sum(item.bytes for item in found.items) > 0
    assert opened("operations").gc(grace="0s")[ADDRESS] == found
    assert dataset.refresh().version == version


def test_what_an_old_version_named_goes_and_readers_of_it_are_told(opened: Opened) -> None:
    dataset = corrected(opened)
    old, window = dataset.at(2), dataset.at(2).manifest("2024-08-08")
    assert old.rows == LARGE
    expire(opened, keep_versions=1, reason="space")
    assert values(old)[0][1] == 0, "nothing is removed yet"
    done = collect(opened)
    assert {item.kind for item in done.items} == {"segment", "commit"}
    forget_indexes()
    with pytest.raises(VersionExpired, match=r"version 2 was removed by retention on 20.*by operations \(space\); the oldest kept is 4"):
        old.read()
    with pytest.raises(VersionExpired):
        dataset.at(3)
    with pytest.raises(VersionExpired):
        dataset.at(np.datetime64(dataset.versions()[0].time - 1, "ns"))
    assert [(version.number, version.operation) for version in dataset.refresh().versions()] == [(4, "replace"), (5, "floor")]
    assert values(dataset)[0][1] == 2
    assert window.rows == LARGE
    assert collect(opened).items == ()


def test_the_version_after_the_floor_keeps_what_only_it_names(opened: Opened) -> None:
    dataset = made(opened)
    dataset.append(plain(LARGE))
    dataset.update(attributes={"a": 1})
    expire(opened, keep_versions=1)
    dataset.replace("2024-08-08", plain(3), reason="r")
    collect(opened)
    assert dataset.refresh().at(3).rows == len(values(dataset.at(3))) == LARGE
    assert not dataset.verify(deep=True)


def test_what_the_oldest_kept_version_took_away_is_neither_missed_nor_copied(tmp_path: Path) -> None:
    """Rows and a file of version 3 are replaced by versions 4 and 5, and then these are the oldest."""
    url = str(tmp_path / "store")

    def opened(role: str) -> arraystore.Store:
        return arraystore.open_store(url, role=role, create=True)

    dataset = made(opened)
    dataset.append(plain(LARGE))
    dataset.add_file(b"old", "file")
    for step in (lambda: dataset.replace("2024-08-08", plain(LARGE, 1), reason="r"), lambda: dataset.add_file(b"new", "file")):
        step()
        expire(opened, keep_versions=1)
        assert {item.kind for item in collect(opened).items} >= {"commit"}
        forget_indexes()
        assert not dataset.refresh().verify(deep=True)
        copied = opened("operations").copy(tmp_path / f"copy-{dataset.version}")
        assert not copied.problems
        repaired = opened("operations").repair(tmp_path / f"copy-{dataset.version}")
        assert (repaired.restored, repaired.unrepaired) == ((), ())
    assert dataset.artifacts()["file"].read() == b"new"


def test_rows_inlined_in_commits_that_are_newest_still_stay(opened: Opened) -> None:
    dataset = made(opened)
    for first in range(5):
        dataset.append(plain(2, first * 2))
    before = values(dataset)
    expire(opened, keep_versions=1)
    assert [item.kind for item in collect(opened).items] == ["commit"], "only the create held no rows"
    assert values(maintained(opened)) == before


def test_a_writers_latest_token_still_answers_when_its_version_expired(opened: Opened) -> None:
    dataset = made(opened)
    first = dataset.append(plain(LARGE), token=("w", 7))
    for number in range(3):
        dataset.append(plain(LARGE, number))
    expire(opened, keep_versions=1)
    collect(opened)
    again = opened("data-quality").canonical[KEY].append(plain(LARGE), token=("w", 7))
    assert (again.repeated, again.version, again.windows) == (True, first.version, first.windows)


def test_leftovers_of_dead_writers_go(opened: Opened) -> None:
    dataset = made(opened)
    dataset.append(plain(LARGE))
    with mock.patch("arraystore.versions.log.Log.publish", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        dataset.append(plain(LARGE))
    with mock.patch("arraystore.versions.log.Log.publish", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        dataset.add_file(b"bytes", "file")
    assert opened("operations").gc()[ADDRESS].items == (), "their writers may still live"
    kinds = [item.kind for item in collect(opened).items]
    assert kinds == ["segment", "artifact"]
    assert maintained(opened).versions()[-1].operation == "floor"
    assert collect(opened).items == ()
    assert len(maintained(opened).versions()) == 3, "and no floor where there is nothing to do"


def test_garbage_goes_also_where_versions_expire_sooner_than_the_grace_time_is_over(opened: Opened) -> None:
    """As beside a recorder, whose small segments only versions of a minute ago name: no version is as old as the grace time."""
    dataset = made(opened)
    for number in range(4):
        dataset.append(plain(LARGE, number * LARGE))
    before = values(dataset)
    maintained(opened).compact()
    expire(opened, keep_versions=1, delay="0s")
    done = collect(opened, grace="1d")
    assert sum(item.kind == "segment" for item in done.items) == 4
    assert values(maintained(opened)) == before
    assert maintained(opened).verify(deep=True) == []
    dataset.append(plain(LARGE, 4 * LARGE))
    assert collect(opened, grace="1d").items == (), "what is kept protects who planned on it"


def test_deleted_datasets_are_looked_after_too(opened: Opened) -> None:
    store = opened("analysis")
    dataset = store.derived.create(("bars", "1m", "venue", "X"), schema_of())
    dataset.append(plain(LARGE))
    store.derived.delete(dataset.key, reason="recomputed elsewhere")
    operations = opened("operations")
    operations.expire("derived", keep_versions=1, delay="0s", dry_run=False)
    (done,) = operations.gc("derived", grace="0s", dry_run=False).values()
    assert {item.kind for item in done.items} == {"segment", "commit"}
    again = store.derived.create(dataset.key, schema_of())
    again.append(plain(3))
    assert len(values(again)) == 3
    assert again.version == 6, "numbering goes on"


def test_maintenance_is_for_operations_and_not_at_a_tag(opened: Opened) -> None:
    dataset = made(opened)
    store = opened("data-quality")
    store.tag("t", [dataset.pin()])
    for call in (store.gc, store.expire, store.compact):
        with pytest.raises(AccessDenied, match="maintain"):
            call()
    tagged = arraystore.open_store(store.url, role="operations", tag="t")
    for call in (tagged.gc, tagged.expire, tagged.compact):
        with pytest.raises(InvalidInput, match="read-only"):
            call()


# --- suspended writers --------------------------------------------------------------------------------------------------


def suspended(opened: Opened, method: Any, name: str, meanwhile: Callable[[], Any]) -> Any:
    """Let something happen once when a writer has written its segments, and not yet published."""
    true, done = getattr(method, name), []

    def late(self: Any, *args: Any, **options: Any) -> Any:
        result = true(self, *args, **options)
        if not done:
            done.append(None)
            meanwhile()
        return result

    return mock.patch.object(method, name, late)


def sleep_past_a_floor(opened: Opened) -> Callable[[], None]:
    def meanwhile() -> None:
        done = collect(opened)
        assert [item.kind for item in done.items] == ["segment"], "what the sleeper wrote is taken for garbage"

    return meanwhile


def test_a_writer_that_slept_past_the_floor_writes_again(opened: Opened) -> None:
    dataset = made(opened)
    dataset.append(plain(LARGE))
    with suspended(opened, Writer, "_write", sleep_past_a_floor(opened)):
        receipt = dataset.append(plain(LARGE, LARGE))
    assert receipt.version == 4
    assert len(values(maintained(opened))) == 2 * LARGE
    assert not maintained(opened).verify(deep=True)


def test_a_compaction_that_slept_past_the_floor_writes_again(opened: Opened) -> None:
    dataset = made(opened)
    dataset.append(plain(LARGE))
    dataset.append(plain(LARGE, LARGE))
    with suspended(opened, Compactor, "_write", sleep_past_a_floor(opened)):
        maintained(opened).compact()
    assert len(maintained(opened).manifest("2024-08-08").segments) == 1
    assert len(values(maintained(opened))) == 2 * LARGE
    assert not maintained(opened).verify(deep=True)


def test_a_stream_that_slept_past_the_floor_is_refused(opened: Opened) -> None:
    dataset = made(opened)

    def batches() -> Any:
        yield plain(LARGE)
        yield plain(LARGE, LARGE)
        collect(opened)

    with pytest.raises(PlanExpired, match="write them again"):
        dataset.append_stream(batches(), piece_bytes=1000)
    assert maintained(opened).rows == 0


@pytest.mark.parametrize("again", [True, False])
def test_a_file_that_slept_past_the_floor_is_written_again_if_it_can_be(opened: Opened, *, again: bool) -> None:
    dataset = made(opened)

    class Slow:
        name, left, position = "file", 3, 0

        def read(self, size: int) -> bytes:
            self.position += 1
            if self.position == 3:
                collect(opened)
            return b"x" * 10 if self.position <= 3 else b""

        def seekable(self) -> bool:
            return again

        def tell(self) -> int:
            return self.position

        def seek(self, position: int) -> None:
            self.position = position + 10 * (position > 3)

    # What was put before the read that slept isn't there yet, so that only its name is too old.
    opened("data-quality").canonical[KEY].update(attributes={"a": 1})
    if again:
        dataset.add_file(Slow())  # type: ignore[arg-type]
        assert maintained(opened).artifacts()["file"].size == 30
    else:
        storage = dataset._log.storage
        with storage.batch() as batch:  # so that there is something to raise a floor for
            batch.put(f"{dataset._log.prefix}/2024-08-08/2-{'0' * 32}/zarr.json", b"{}")
        with pytest.raises(PlanExpired):
            dataset.add_file(Slow())  # type: ignore[arg-type]
        assert not maintained(opened).artifacts()


# --- expiry: two steps, pins, tags, clocks ------------------------------------------------------------------------------


def test_every_class_has_a_rule_and_only_derived_data_expire_by_themselves() -> None:
    assert RETENTION.keys() == set(StorageClass)
    assert [each.value for each in StorageClass if not retention_of(each).keeps_all] == ["derived"]


def test_by_default_nothing_that_cannot_be_computed_again_expires(opened: Opened) -> None:
    corrected(opened)
    done = opened("operations").expire(dry_run=False, clock=lambda: NOW + 100 * YEARS)
    assert {each.step for each in done.values()} == {"nothing"}


def test_marked_versions_read_until_the_delay_is_over(opened: Opened) -> None:
    dataset = corrected(opened)

    def step(now: int, **options: Any) -> str:
        return str(expire(opened, keep_versions=1, delay="7d", clock=lambda: now, **options).step)

    assert step(NOW) == "mark"
    assert step(NOW + 6 * DAY_NS) == "wait"
    collect(opened)
    assert [values(dataset.at(version))[0][1] for version in (2, 3, 4)] == [0, 1, 2]
    assert step(NOW + 7 * DAY_NS) == "publish"
    with pytest.raises(VersionExpired):
        dataset.at(3)
    assert step(NOW + 8 * DAY_NS) == "nothing"


def test_a_marked_version_takes_no_new_pin(opened: Opened) -> None:
    dataset = corrected(opened)
    store = opened("data-quality")
    store.tag("kept", [dataset.at(2).pin()])
    expire(opened, keep_versions=1, delay="7d")
    other = store.canonical.create((*KEY[:2], "Y"), schema_of())
    other.append(plain(1), inputs=dataset.at(2).pin())
    for use in (lambda: other.append(plain(1), inputs=dataset.at(3).pin()), lambda: store.tag("late", [dataset.at(3).pin()])):
        with pytest.raises(VersionExpired, match="version 3 is marked for removal"):
            use()
    other.append(plain(1), inputs=dataset.at(4).pin())


def test_pins_and_tags_keep_their_versions_below_the_floor(opened: Opened) -> None:
    dataset = corrected(opened, 6)
    pins = {version: dataset.at(version).pin() for version in range(2, 8)}
    store = opened("data-quality")
    store.tag("best", [pins[3]])
    store.tag("best", [pins[6]])
    backtesting = opened("backtesting")
    with backtesting.experiments.run("grid", run_id="a") as run:
        run.read(backtesting.open_pin(pins[4]), "2024-08-08", "2024-08-09")
    expire(opened, keep_versions=1, reason="space")
    collect(opened)
    for version in (3, 4, 6, 7):
        assert values(opened("analysis").open_pin(pins[version]))[0][1] == version - 2
    for version in (2, 5):
        with pytest.raises(VersionExpired, match="the oldest kept is 7, and of those before it 3, 4, 6"):
            opened("analysis").open_pin(pins[version])
    assert values(arraystore.open_store(store.url, role="analysis", tag=("best", 1)).canonical[KEY])[0][1] == 1
    store.tag("again", [pins[3]])
    assert not maintained(opened).verify(deep=True)


def test_a_pin_made_while_the_floor_is_on_its_way_is_kept_or_refused(opened: Opened) -> None:
    """Between each two steps of expiring somebody pins: whoever isn't refused reads it for ever."""
    for moment in range(6):
        dataset = corrected(opened) if moment == 0 else opened("data-quality").canonical[KEY]
        if moment:
            dataset.replace("2024-08-08", plain(LARGE, 100 + moment), reason="r")
            dataset.replace("2024-08-08", plain(LARGE, 200 + moment), reason="r")
        version = dataset.version - 1
        wanted, pin = values(dataset.at(version)), dataset.at(version).pin()
        calls: list[None] = []
        pinned: list[arraystore.Pin] = []

        def look(*args: Any, moment: int = moment, pin: Any = pin, calls: list[None] = calls, pinned: list[Any] = pinned) -> Any:
            calls.append(None)
            if len(calls) == moment:
                with suppress(VersionExpired):
                    opened("data-quality").tag(f"t{moment}", [pin])
                    pinned.append(pin)
            return pinned_versions(*args)

        with mock.patch("arraystore.upkeep.maintenance.pinned_versions", look):
            expire(opened, keep_versions=1)
        collect(opened)
        if pinned:
            assert values(opened("analysis").open_pin(pin)) == wanted, moment


@pytest.mark.parametrize("jump", [YEARS, -YEARS])
def test_a_clock_that_jumps_by_years_removes_nothing_that_is_kept(opened: Opened, jump: int) -> None:
    dataset = corrected(opened)
    clock = {"now": dataset.versions()[-1].time + DAY_NS}
    before = {version: values(dataset.at(version)) for version in range(1, 5)}

    def step() -> str:
        return str(expire(opened, keep="30d", delay="7d", clock=lambda: clock["now"]).step)

    assert step() == "nothing"
    clock["now"] += jump
    seen = [step()]
    clock["now"] -= jump
    for _ in range(20):
        seen.append(step())
        collect(opened, grace="1d", clock=lambda: clock["now"] + jump)
        clock["now"] += DAY_NS
    assert "publish" not in seen
    assert {version: values(dataset.at(version)) for version in range(1, 5)} == before


def test_a_writer_whose_clock_was_years_ahead_keeps_its_versions_longer(opened: Opened) -> None:
    dataset = made(opened)
    dataset._log.publish(lambda _: Draft(draft_commit("update", "data-quality", clock=lambda: NOW + YEARS)))
    dataset.append(plain(3, 3))
    assert expire(opened, keep="30d", clock=lambda: NOW).step == "nothing"


# --- links, temporary files, and the medium ------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["checkpoint", "manifest"])
def test_no_floor_stands_on_what_is_damaged(opened: Opened, what: str) -> None:
    """Until then the log tells the same, and `repair` makes it anew from there."""
    dataset = corrected(opened)
    log = opened("operations").canonical.log_of(KEY)
    before = values(dataset.at(3))
    _, _, manifests = checkpoint.encode_checkpoint(log.at(3))
    checkpoint.write_checkpoint(log.storage, log.prefix, log.at(3))
    [manifest] = manifests
    where = f"{log.prefix}/_checkpoints/{3:020d}" if what == "checkpoint" else f"{log.prefix}/_manifests/{manifest}"
    log.storage.put(where, log.storage.get(where)[:-1] + b"?", durable=True)
    with pytest.raises(Corrupt, match=what):
        expire(opened, keep_versions=1)
    assert collect(opened).items == ()
    assert values(opened("operations").canonical[KEY].at(3)) == before
    opened("operations").repair()
    assert expire(opened, keep_versions=1).step == "publish"


def test_planted_links_lead_nowhere(tmp_path: Path) -> None:
    """Who may write in one class plants links to another's segments where garbage is looked for."""
    root = tmp_path / "store"

    def opened(role: str) -> arraystore.Store:
        return arraystore.open_store(root, role=role, create=True)

    dataset = corrected(opened)
    victim = opened("data-recording").raw.create(("venue", "feed", "rec"), schema_of())
    victim.append(plain(LARGE))
    place, raw = root / "canonical/venue/trades/X", root / "raw/venue/feed/rec"
    (segment,) = (raw / "2024-08-08").iterdir()
    name = f"0-{'0' * 32}"
    (place / "2024-08-08" / name).symlink_to(segment)
    (place / "2024-08-09").symlink_to(raw)
    (place / "2024-08-10").symlink_to(raw / "2024-08-08")
    (place / "_manifests").mkdir(exist_ok=True)
    (place / "_manifests" / ("0" * 64)).symlink_to(raw / "_log/00000000000000000001")
    (place / "2024-08-11" / name).mkdir(parents=True)
    (place / "2024-08-11" / name / "size").symlink_to(segment / "size")
    expire(opened, keep_versions=1)
    collect(opened)
    assert len(values(victim.refresh())) == LARGE
    assert not victim.verify(deep=True)
    assert len(values(dataset.refresh())) == LARGE
    assert (place / "2024-08-11" / name / "size").is_symlink()


def test_unfinished_files_are_swept_away_once_they_are_old(tmp_path: Path) -> None:
    root = tmp_path / "store"

    def opened(role: str) -> arraystore.Store:
        return arraystore.open_store(root, role=role, create=True)

    made(opened).append(plain(3))
    log = root / "canonical/venue/trades/X/_log"
    for name, age in ((".tmp-old", 2), (".tmp-young", 0)):
        (log / name).write_bytes(b"x")
        os.utime(log / name, ns=(0, (log / name).stat().st_mtime_ns - age * 3_600 * 10**9))
    (log / ".tmp-link").symlink_to(root / "zarr.json")
    assert collect(opened).unfinished == 1
    assert sorted(path.name for path in log.glob(".tmp-*")) == [".tmp-link", ".tmp-young"]
    assert len(values(maintained(opened))) == 3


def test_folders_of_what_went_go_too(tmp_path: Path) -> None:
    root = tmp_path / "store"

    def opened(role: str) -> arraystore.Store:
        return arraystore.open_store(root, role=role, create=True)

    corrected(opened)
    empty = root / f"canonical/venue/trades/X/2024-08-09/0-{'1' * 32}/size"
    empty.mkdir(parents=True)
    expire(opened, keep_versions=1)
    collect(opened)
    assert len(list((root / "canonical/venue/trades/X/2024-08-08").iterdir())) == 1
    assert isinstance(maintained(opened)._log.storage, LocalStorage)


def test_small_appends_then_compaction_weigh_what_one_write_weighs(opened: Opened) -> None:
    """A tenth of what the benchmark does."""
    dataset = made(opened)
    count, per = 1_000, 64
    random = np.random.default_rng(0)
    sizes = random.random(count * per)
    for number in range(count):
        dataset.append({"time": START + np.arange(number * per, (number + 1) * per), "size": sizes[number * per : (number + 1) * per]})
    storage, prefix = dataset._log.storage, dataset._log.prefix

    def stored() -> int:
        return sum(storage.size(key) for key in objects_below(storage, prefix))

    assert stored() / count - per * 16 <= 8 << 10
    maintained(opened).compact()
    bulk = opened("data-quality").canonical.create((*KEY[:2], "bulk"), schema_of())
    bulk.append({"time": START + np.arange(count * per), "size": sizes})
    assert maintained(opened).bytes <= 1.05 * bulk.bytes
    expire(opened, keep_versions=1)
    collect(opened)
    assert stored() <= 1.05 * bulk.bytes + (64 << 10), "the checkpoint at the floor still names up to 256 tails"
    assert np.array_equal(maintained(opened).read()["size"], sizes)
