"""What writers tell other processes of their machine: all of it is heard, and nothing is believed that might not be all."""

import errno
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import arraystore
from arraystore.storage import LocalStorage
from arraystore.storage.shared import SharedFile
from arraystore.versions import bulletin
from arraystore.versions.entry import entry_of
from arraystore.versions.journal import HOUR_NS
from arraystore.versions.log import Log
from tests.discovery.test_catalog import Counted, filled
from tests.store.conftest import rows

SCHEMA = arraystore.schema_by_name("trades")

WRITER = """
import sys
import arraystore
store = arraystore.open_store(sys.argv[1], role="analysis")
for line in sys.stdin:
    verb, name = line.split()
    key = ("bars", "1m", "venue", name)
    if verb == "create":
        store.derived.create(key, arraystore.schema_by_name("trades"))
    elif verb == "append":
        store.derived[key].append({"time": ["2024-08-08"], "price": [1.0], "size": [1.0], "side": [1], "flags": [0]}, reopen=True)
    elif verb == "complete":
        store.derived[key].append(None, coverage=("2024-08-08", "2024-08-09"), completeness="complete", reopen=True)
    else:
        store.derived.delete(key, reason="test")
    print("acknowledged", flush=True)
"""


def later(*surfaces, hours: int) -> None:
    """As if time had passed for some surfaces."""
    for surface in surfaces:
        journal = surface._notices.journal
        journal._clock = lambda clock=journal._clock: clock() + hours * HOUR_NS


def truth(root: Path, storage_class: str = "canonical") -> dict[str, tuple[int, int, int]]:
    """Version, windows and unfinished windows of each dataset, from the logs alone."""
    found = {}
    folder = root / storage_class
    for log in folder.rglob("_log"):
        path = str(log.parent.relative_to(folder))
        entry = entry_of(path, Log(LocalStorage(folder), path).head())
        if entry.alive:
            found[path] = (entry.version, entry.windows, entry.unfinished)
    return found


def told(surface: arraystore.Surface) -> dict[str, tuple[int, int, int]]:
    return {entry.path: (entry.version, entry.windows, entry.unfinished) for entry in surface.summaries()}


def bulletins(root: Path) -> list[Path]:
    return sorted((root / "canonical" / "_catalog").glob("0*"))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
def test_what_another_process_has_committed_is_found_with_its_newest_state(root: Path, seed: int) -> None:
    """Whoever reads: one that has just come, one that was there before, one with the right to keep what it learned."""
    chance = random.Random(seed)
    readers = [arraystore.open_store(root, role=role).derived for role in ("live", "analysis")]
    command = [sys.executable, "-c", WRITER, str(root)]
    writers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    alive: set[str] = set()
    try:
        for step in range(30 if seed == 0 else 80):
            writer = chance.choice(writers)
            name = f"X{chance.randrange(6)}"
            verb = chance.choice(["append", "append", "append", "complete", "delete"]) if name in alive else "create"
            (alive.discard if verb == "delete" else alive.add)(name)
            writer.stdin.write(f"{verb} {name}\n")
            writer.stdin.flush()
            assert writer.stdout.readline() == "acknowledged\n"
            if step % 30 == 15:
                writer.kill()
                writer.communicate()
                writers[writers.index(writer)] = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            wanted = truth(root, "derived")
            for reader in (chance.choice(readers), arraystore.open_store(root, role="operations").derived):
                assert told(reader) == wanted
                assert reader.find() == [("bars", "1m", "venue", each) for each in sorted(alive)]
                done = reader.find("bars/*/*/*", complete=True)
                assert ["/".join(key) for key in done] == [
                    path for path, (_, windows, left) in sorted(wanted.items()) if windows and not left
                ]
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()


def test_what_was_told_costs_no_look_at_a_dataset(root: Path) -> None:
    filled(root, 30)
    opener = Counted()
    reader = arraystore.open_store(root, role="analysis", opener=opener).canonical
    assert len(reader.find(schema="trades")) == 30
    assert opener.calls < 30, "not one call for each"
    opener.calls = 0
    assert len(reader.find(complete=False)) == 15
    assert opener.calls < 15


def test_a_dataset_that_gets_many_commits_is_told_of_no_more_and_looked_at(root: Path) -> None:
    store = filled(root, 1)
    reader = arraystore.open_store(root, role="analysis").canonical
    dataset = store.canonical["venue/feed-0/X000"]
    sizes = []
    for number in range(12):
        dataset.append(rows(1, first=number))
        assert told(reader) == truth(root)
        assert told(arraystore.open_store(root, role="live").canonical) == truth(root)
        sizes.append(sum(path.stat().st_size for path in bulletins(root)))
    assert sizes[0] < sizes[3] == sizes[-1]


def test_a_writer_that_died_between_commit_and_telling_is_found_out(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(root, 2)
    reader = arraystore.open_store(root, role="analysis").canonical
    before = told(reader)
    monkeypatch.setattr(bulletin.Bulletin, "conclude", lambda *_: None)
    store.canonical["venue/feed-1/X001"].append(rows(1), reopen=True)
    monkeypatch.undo()
    assert told(reader) == truth(root) != before
    assert told(arraystore.open_store(root, role="live").canonical) == truth(root)
    later(store.canonical, reader, hours=3)
    assert told(reader) == truth(root)


@pytest.mark.parametrize("moment", ["before the commit", "after it"])
def test_a_reader_in_the_middle_of_a_commit_misses_nothing(root: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    store = filled(root, 2)
    reader = arraystore.open_store(root, role="analysis").canonical
    told(reader)
    step = "announce" if moment == "before the commit" else "conclude"
    real = getattr(bulletin.Bulletin, step)

    def and_read(self, *args):
        if step == "announce":
            real(self, *args)
        told(reader)
        if step == "conclude":
            real(self, *args)

    monkeypatch.setattr(bulletin.Bulletin, step, and_read)
    store.canonical["venue/feed-1/X001"].append(rows(1), reopen=True)
    assert told(reader) == truth(root)


@pytest.mark.parametrize("harm", ["flip", "cut", "cut a line", "empty", "remove", "remove all", "garbage", "copy"])
def test_a_damaged_bulletin_is_not_believed(root: Path, harm: str) -> None:
    store = filled(root, 4)
    dataset = store.canonical["venue/feed-0/X000"]
    keeper = arraystore.open_store(root, role="operations").canonical
    keeper._catalog._unsaved = 10**6
    told(keeper)
    assert (root / "canonical" / "_catalog" / "latest").exists()
    reader = arraystore.open_store(root, role="analysis").canonical
    told(reader)
    dataset.append(rows(1), reopen=True)
    (path,) = bulletins(root)
    data = path.read_bytes()
    last = data[:-1].rfind(b"\n") + 1
    if harm == "flip":
        path.write_bytes(data[: last + 40] + bytes([data[last + 40] ^ 1]) + data[last + 41 :])
    elif harm == "cut":
        path.write_bytes(data[: last + 20])
    elif harm == "cut a line":
        path.write_bytes(data[: data[: last - 1].rfind(b"\n") + 1])
    elif harm == "empty":
        path.write_bytes(b"")
    elif harm == "remove":
        path.unlink()
    elif harm == "remove all":
        shutil.rmtree(path.parent)
    elif harm == "garbage":
        path.write_bytes(data + b"\n\0\0\0 garbage\n")
    else:
        shutil.copy(path, path.with_name("copy"))
        path.unlink()
        path.with_name("copy").rename(path)
    if harm not in {"cut", "cut a line"}:  # in one's own sight the end of a file goes only with the mount
        assert told(reader) == truth(root)
        assert told(arraystore.open_store(root, role="live").canonical) == truth(root)
    dataset.append(rows(1), reopen=True)
    assert told(reader) == truth(root)
    assert told(arraystore.open_store(root, role="live").canonical) == truth(root)


def test_after_another_mount_nothing_is_believed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cut of power takes what wasn't synced: the end of the bulletin, and not the commit."""
    store = filled(root, 4)
    keeper = arraystore.open_store(root, role="operations").canonical
    keeper._catalog._unsaved = 10**6
    told(keeper)
    (path,) = bulletins(root)
    size = path.stat().st_size
    store.canonical["venue/feed-0/X000"].append(rows(1), reopen=True)
    with path.open("r+b") as file:
        file.truncate(size)
    from arraystore.storage import local, shared

    real = shared.identity
    for module in (shared, local):
        monkeypatch.setattr(module, "identity", lambda fd: f"other {real(fd)}")
    for role in ("analysis", "data-quality"):
        surface = arraystore.open_store(root, role=role).canonical
        assert told(surface) == truth(root)
        surface["venue/feed-0/X000"].is_newest()
    again = arraystore.open_store(root, role="data-quality").canonical
    again["venue/feed-1/X001"].append(rows(1), reopen=True)
    assert len(bulletins(root)) == 2
    assert told(surface) == truth(root)
    assert told(arraystore.open_store(root, role="live").canonical) == truth(root)


def test_where_nothing_can_be_told_marks_are_enough(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older system, or a process that isn't allowed to ask: others see that there is more than they were told."""
    reader = arraystore.open_store(root, role="analysis").canonical
    filled(root, 3)
    told(reader)
    from arraystore.storage import local, shared

    for module in (shared, local):
        monkeypatch.setattr(module, "identity", lambda _: "")
    blind = arraystore.open_store(root, role="data-quality").canonical
    assert told(blind) == truth(root)
    blind["venue/feed-1/X001"].append(rows(1), reopen=True)
    assert told(blind) == truth(root)
    monkeypatch.undo()
    assert told(reader) == truth(root)
    assert told(arraystore.open_store(root, role="live").canonical) == truth(root)


@pytest.mark.parametrize("hours", [1, 2, 3, 30, 60])
def test_nothing_is_missed_however_long_one_didnt_ask(root: Path, hours: int) -> None:
    store = filled(root, 5)
    reader = arraystore.open_store(root, role="analysis").canonical
    told(reader)
    for step in range(3):
        later(store.canonical, reader, hours=hours)
        store.canonical[f"venue/feed-{step}/X00{step}"].append(rows(1), reopen=True)
        if step != 1:
            assert told(reader) == truth(root)
    assert len(bulletins(root)) <= 4 if hours < 24 else 2


def test_a_crafted_line_leads_nowhere_else(root: Path) -> None:
    store = filled(root, 1)
    (path,) = bulletins(root)
    for where in ("../outside/x/y", "a/b", "a/b/c/d", "/etc/x/y", "venue/feed-0/_log", "a//b"):
        line = bulletin.Line("0" * 32, where, done=True, entry=arraystore.Entry(path=where, dataset="d", version=1, schema="trades"))
        with path.open("ab") as file:
            file.write(bulletin._framed(line) + bulletin._framed(bulletin.Line("1" * 32, where)))
    reader = arraystore.open_store(root, role="analysis").canonical
    assert reader.find(schema="trades") == [("venue", "feed-0", "X000")]
    assert told(reader) == truth(root)
    assert store.canonical.find() == [("venue", "feed-0", "X000")]


def test_a_bulletin_that_cant_be_written_refuses_the_commit_and_the_next_one_tells(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(root, 2)
    dataset = store.canonical["venue/feed-1/X001"]
    real = SharedFile.append

    def full(self, data: bytes) -> None:
        real(self, data[:10])
        raise OSError(28, "no space")

    monkeypatch.setattr(SharedFile, "append", full)
    with pytest.raises(arraystore.StorageError, match="free space"):
        dataset.append(rows(1), reopen=True)
    monkeypatch.undo()
    assert dataset.is_newest()
    dataset.append(rows(1), reopen=True)
    assert told(arraystore.open_store(root, role="analysis").canonical) == truth(root)


def test_a_writer_of_much_leaves_a_catalog(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arraystore.versions.notices.TEND_AFTER", 20)
    monkeypatch.setattr("arraystore.classes.catalog.SNAPSHOT_AFTER", 10)
    filled(root, 50)
    for path in bulletins(root):
        path.unlink()
    opener = Counted()
    reader = arraystore.open_store(root, role="analysis", opener=opener).canonical
    assert told(reader) == truth(root)
    snapshot = (root / "canonical" / "_catalog" / "latest").read_bytes()
    assert b"X039" in snapshot


def test_a_version_that_retention_took_is_not_mistaken_for_the_newest(root: Path) -> None:
    store = filled(root, 1)
    reader = arraystore.open_store(root, role="analysis").canonical
    cursor = reader.changes().cursor
    dataset = store.canonical["venue/feed-0/X000"]
    for number in range(60):
        dataset.append(rows(500, first=500 * number))
    log = dataset._log
    checkpoints = sorted(int(path.name) for path in (root / "canonical/venue/feed-0/X000/_checkpoints").iterdir())
    assert checkpoints
    log.publish_floor(checkpoints[0])
    for version in range(1, checkpoints[0] + 1):
        (root / f"canonical/venue/feed-0/X000/_log/{version:020d}").unlink()
    assert told(reader) == truth(root)
    assert [change.version for change in reader.changes(cursor)] == list(range(checkpoints[0] + 1, 63))


def test_a_bulletin_that_cannot_be_read_keeps_nobody_from_writing_or_finding(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arraystore.open_store(root, role="data-quality").canonical.create(("venue", "trades", "A"), SCHEMA)

    def unreadable(file: SharedFile, start: int) -> bytes:
        raise OSError(errno.EIO, "as told")

    monkeypatch.setattr(SharedFile, "read", unreadable)
    dataset = arraystore.open_store(root, role="data-quality").canonical["venue", "trades", "A"]
    assert dataset.append(rows(3)).version == 2
    (found,) = arraystore.open_store(root, role="analysis").canonical.summaries()
    assert (found.version, found.rows) == (2, 3)
