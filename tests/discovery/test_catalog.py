"""Finding datasets and following changes, at the cost of what changed."""

import itertools
import shutil
from pathlib import Path
from typing import Any

import pytest

import arraystore
from arraystore.classes.catalog import SNAPSHOT
from arraystore.storage import open_storage
from arraystore.storage.memory import MemoryStorage
from arraystore.versions.journal import HOUR_NS, Journal
from tests.store.conftest import DAY, START, rows

SCHEMA = arraystore.schema_by_name("trades")


class Counted:
    """An opener that counts what is asked of storages."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, url: str, /, *, create: bool = False) -> Any:
        storage, owner = open_storage(url, create=create), self

        class Watched:
            def __getattr__(self, name: str) -> Any:
                owner.calls += name in {"get", "get_ranges", "iter_ranges", "exists", "list", "size"}
                return getattr(storage, name)

        return Watched()


def filled(root: Path, count: int) -> arraystore.Store:
    store = arraystore.open_store(root, role="data-quality")
    for number in range(count):
        dataset = store.canonical.create(("venue", f"feed-{number % 3}", f"X{number:03d}"), SCHEMA)
        dataset.append(rows(2, start=START + number % 5 * DAY), completeness="complete" if number % 2 else None)
    return store


def test_datasets_are_found_by_name_schema_span_and_completeness(root: Path) -> None:
    filled(root, 20)
    store = arraystore.open_store(root, role="data-quality")
    store.canonical.create(("venue", "feed-0", "quotes"), arraystore.schema_by_name("quotes"))
    find = arraystore.open_store(root, role="analysis").canonical.find
    assert len(find()) == 21
    assert len(find("venue/feed-1/*")) == 7
    assert find(("*", "feed-?", "X00[12]")) == [("venue", "feed-1", "X001"), ("venue", "feed-2", "X002")]
    assert find(schema="quotes") == [("venue", "feed-0", "quotes")]
    assert len(find(start="2024-08-09", end="2024-08-10")) == 4
    assert len(find(complete=True)) == len(find(complete=False)) - 1 == 10
    assert find("venue/feed-1/*", complete=True, start="2024-08-11", end="2024-08-12") == [("venue", "feed-1", "X013")]


def test_datasets_are_found_by_venue_where_keys_tell_one(root: Path) -> None:
    quality = filled(root, 3)
    quality.canonical.create(("a venue*", "feed-0", "X"), SCHEMA)
    analysis = arraystore.open_store(root, role="analysis")
    bars = arraystore.schema_by_name("bars", interval="1m")
    for venue in ("venue", "other"):
        analysis.derived.create(("bars", "1m", venue, "X"), bars)
    assert len(analysis.canonical.find(venue="venue")) == 3
    assert analysis.canonical.find("venue/feed-1/*", venue="venue") == [("venue", "feed-1", "X001")]
    assert analysis.canonical.find("ven*/*/*", venue="a venue*") == []
    assert analysis.canonical.find(venue="a venue*", schema="trades") == [("a venue*", "feed-0", "X")]
    assert analysis.derived.find(venue="other") == [("bars", "1m", "other", "X")]
    assert analysis.find(venue="other") == [("derived", ("bars", "1m", "other", "X"))]
    assert analysis.find(schema="bars") == [("derived", ("bars", "1m", venue, "X")) for venue in ("other", "venue")]
    assert len(analysis.find()) == 6
    with pytest.raises(arraystore.InvalidInput, match="tell no venue"):
        analysis.experiments.find(venue="venue")
    tagged = quality.tag("t", [quality.canonical["venue", "feed-0", "X000"].pin(), quality.canonical[("a venue*", "feed-0", "X")].pin()])
    assert arraystore.open_store(root, role="analysis", tag=tagged.name).canonical.find(venue="a venue*") == [("a venue*", "feed-0", "X")]


def test_what_was_found_is_found_again_with_what_came_since(root: Path) -> None:
    store = filled(root, 5)
    find = arraystore.open_store(root, role="analysis").canonical.find
    assert len(find(complete=False)) == 3
    store.canonical["venue/feed-0/X000"].append(None, coverage=("2024-08-08", "2024-08-09"), completeness="complete")
    store.canonical.create(("venue", "feed-0", "new"), SCHEMA)
    assert len(find()) == 6
    assert len(find(complete=False)) == 3
    assert find("venue/feed-0/X000", complete=True)


def test_what_one_process_learned_spares_the_next_and_is_never_trusted(root: Path) -> None:
    store = filled(root, 3)
    for number in range(300):
        store.canonical.create(("venue", "many", f"Y{number}"), SCHEMA)
    assert len(store.canonical.find(schema="trades")) == 303
    snapshot = root / "canonical" / SNAPSHOT
    good = snapshot.read_bytes()
    for bad in (good, good[:-3], b"", b"rubbish"):
        snapshot.write_bytes(bad)
        assert len(arraystore.open_store(root, role="live").canonical.find(schema="trades")) == 303


def test_changes_cost_what_changed(root: Path) -> None:
    store = filled(root, 30)
    hours = itertools.count(1)
    opener = Counted()
    reader = arraystore.open_store(root, role="analysis", opener=opener).canonical
    cursor = reader.changes().cursor
    later = HOUR_NS * (3 + next(hours))
    for surface in (store.canonical, reader):
        journal = surface._notices.journal
        journal._clock = lambda clock=journal._clock: clock() + later
    assert not list(reader.changes(cursor))
    cursor = reader.changes(cursor).cursor
    store.canonical["venue/feed-1/X001"].append(rows(1), reopen=True)
    opener.calls = 0
    seen = reader.changes(cursor)
    assert [(change.key, change.version) for change in seen] == [(("venue", "feed-1", "X001"), 3)]
    assert opener.calls < 30, "thirty datasets weren't all looked at"
    assert not list(reader.changes(seen.cursor))
    assert not list(reader.changes(seen.cursor, reconcile=True))


def test_a_reconcile_pass_finds_what_no_mark_tells(root: Path) -> None:
    store = filled(root, 3)
    reader = arraystore.open_store(root, role="analysis").canonical
    cursor = reader.changes().cursor
    store.canonical["venue/feed-1/X001"].append(rows(1), reopen=True)
    for folder in ("_journal", "_catalog"):
        shutil.rmtree(root / "canonical" / folder)
    assert not list(reader.changes(cursor))
    assert [change.version for change in reader.changes(cursor, reconcile=True)] == [3]


@pytest.mark.parametrize("skew", [0, -1, 1, 5, 100_000])
def test_no_change_is_missed_though_clocks_differ_and_turn(skew: int) -> None:
    storage = MemoryStorage()
    now = [10**18]
    fast, own = Journal(storage, lambda: now[0] + skew * HOUR_NS), Journal(storage, lambda: now[0])
    seen_at = 0
    for step in range(40):
        writer = fast if step % 3 else own
        now[0] += HOUR_NS // 4
        writer.mark(f"a/b/{step}")
        generation = Journal(storage, lambda: now[0]).generation()
        assert f"a/b/{step}" in Journal(storage, lambda: now[0]).marked_since(seen_at - 1)
        seen_at = generation


def test_a_mark_is_made_once_an_hour(root: Path) -> None:
    store = filled(root, 1)
    dataset = store.canonical["venue/feed-0/X000"]
    for number in range(5):
        dataset.append(rows(1, first=number))
    assert len([path for path in (root / "canonical" / "_journal").rglob("*") if path.is_file()]) <= 2
