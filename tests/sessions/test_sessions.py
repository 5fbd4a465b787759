"""Live sessions: what they cost, what a crash leaves, and what an audit finds."""

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import arraystore
from arraystore.storage import open_storage
from tests.sessions.conftest import fills, session
from tests.store.conftest import START


class Counting:
    """An opener whose storages count what is asked of them, by name."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    def __call__(self, url: str, /, *, create: bool = False) -> Any:
        storage, calls = open_storage(url, create=create), self.calls

        class Watched:
            def __getattr__(self, name: str) -> Any:
                found = getattr(storage, name)
                if not callable(found):
                    return found

                def counted(*args: Any, **options: Any) -> Any:
                    calls[name] += 1
                    return found(*args, **options)

                return counted

        return Watched()


def test_an_append_costs_the_same_however_long_the_session_is(root: Path) -> None:
    opener = Counting()
    surface = arraystore.open_store(root, role="live", opener=opener).execution_records
    live = surface.session("live", "s")
    for record in ("fills", "others", "more"):
        live.append(record, fills("first"), arraystore.schema_by_name("fills"))
    costs = []
    for number in range(60):
        opener.calls.clear()
        live.append("fills", fills(str(number)))
        costs.append(dict(opener.calls))
    early, late = (sorted(sum(cost.values()) for cost in part) for part in (costs[:20], costs[40:]))
    assert late[10] == early[10]
    assert max(sum(cost.values()) for cost in costs) <= late[10] + 5, "now and then there is a hint, or a checkpoint"
    usual = min(costs, key=lambda cost: sum(cost.values()))
    assert usual["list"] == 1, "one look at which records there are"
    assert usual["exists"] <= 5, "one for each kind of records, and those of the log"
    assert sum(usual.values()) <= 15


def test_a_row_is_found_again_among_others_of_its_time(root: Path) -> None:
    live = session(root)
    live.append("fills", fills("a", "b", "c", time=[START] * 3))
    found = live.recover()
    assert list(found.last_row["fill_id"]) == ["c"]
    live.append("fills", fills("d", start=START - 86_400 * 10**9))
    assert list(live.recover().last_row["fill_id"]) == ["d"], "the last by number, not by time"
    assert session(root, "none").recover() == arraystore.Recovery(
        last_sequence=0, last_record=None, last_time=None, last_row=None, rows={}, gaps=(), repeated=()
    )


def test_numbers_that_are_missing_or_come_twice_are_told(root: Path) -> None:
    surface = arraystore.open_store(root, role="live").execution_records
    schema = arraystore.schema_by_name("fills")
    for record, numbers in (("fills", [2, 3, 9]), ("others", [3, 6])):
        dataset = surface.create(("live", "s", record), schema)
        dataset.append(fills(*map(str, numbers), sequence=np.array(numbers, np.uint64)))
    found = surface.session("live", "s").audit()
    assert not found.is_whole
    assert (found.gaps, found.repeated, found.last_sequence) == (((1, 2), (4, 6), (7, 9)), (3,), 9)


def test_a_stranger_who_writes_a_new_kind_of_records_is_noticed(root: Path) -> None:
    one, two = session(root), session(root)
    one.append("fills", fills("1"))
    two.recover()
    two.append("others", fills("2"), arraystore.schema_by_name("fills"))
    with pytest.raises(arraystore.Conflict, match=r"others: recover\(\) first"):
        one.append("fills", fills("3"))
    assert one.recover().last_sequence == 2
    assert one.append("fills", fills("3")).first == 3


def test_a_kind_of_records_that_another_writer_is_only_just_making_is_none_yet(root: Path) -> None:
    live = session(root)
    live.append("fills", fills("1", "2"))
    path = root / "execution-records" / "live" / live.session_id
    shutil.copytree(path / "fills", path / "unborn", ignore=lambda _, names: [name for name in names if name.startswith("0")])
    born = (path / "unborn" / "zarr.json").read_text().replace('"fills"', '"unborn"')
    (path / "unborn" / "zarr.json").write_text(born)
    assert session(root).recover().last_sequence == 2
    assert session(root).audit().last_sequence == 2


def test_sessions_are_listed_as_far_as_the_role_may_see_them(root: Path) -> None:
    session(root, "a/1").append("fills", fills("1"))
    session(root, "b", role="backtesting", kind="backtest").append("fills", fills("1"))
    every = arraystore.open_store(root, role="analysis").execution_records
    assert every.sessions() == [("backtest", "b"), ("live", "a/1")]
    assert every.sessions("live") == [("live", "a/1")]
    assert arraystore.open_store(root, role="live").execution_records.sessions() == [("live", "a/1")]
