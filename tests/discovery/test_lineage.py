"""Which was made of which, in both directions, and what a correction makes stale."""

from pathlib import Path
from unittest import mock

import msgspec
import pytest

import arraystore
from arraystore.classes.surface import Surface
from arraystore.versions.commit import Commit
from arraystore.versions.log import Log
from tests.discovery.test_catalog import Counted
from tests.store.conftest import DAY, START, rows

TRADES = ("venue", "trades", "X")
BARS = ("bars", "1m", "venue", "X")


@pytest.fixture
def chain(root: Path) -> Path:
    """raw → canonical (two days) → derived, and an experiment that read one day."""
    recorder, quality, analysis, backtest = (
        arraystore.open_store(root, role=role) for role in ("data-recording", "data-quality", "analysis", "backtesting")
    )
    raw = recorder.raw.create(("venue", "all", "r1"), arraystore.schema_by_name("raw_messages"))
    message = {
        "time": ["2024-08-08"],
        "sequence": [1],
        "direction": ["recv"],
        "connection": ["c"],
        "encoding": ["json"],
        "payload": [b"{}"],
    }
    received = raw.append(message)
    trades = quality.canonical.create(TRADES, arraystore.schema_by_name("trades"))
    trades.append(rows(100, step=1200 * 10**9), inputs=received.pin, completeness="complete")
    bars = analysis.derived.create(BARS, arraystore.schema_by_name("trades"))
    read = analysis.canonical[TRADES].read("2024-08-08", "2024-08-09")
    bars.append(read, inputs=read.pin)
    with backtest.experiments.run("grid", "r1") as run:
        run.read(backtest.canonical[TRADES], "2024-08-09", "2024-08-10")
    return root


def test_what_came_of_a_day_is_told_by_name_also_to_who_may_not_read_it(chain: Path) -> None:
    store = arraystore.open_store(chain, role="data-quality")
    trades = store.canonical[TRADES]
    assert [edge.key for edge in store.dependents(trades)] == [BARS, ("grid", "r1")]
    assert [edge.key for edge in store.dependents(trades, window="2024-08-08")] == [BARS]
    with pytest.raises(arraystore.InvalidInput, match="'2024-8-8' isn't a window's name; write"):
        store.dependents(trades, window="2024-8-8")
    assert [(edge.key, edge.storage_class) for edge in store.dependents(trades, window="2024-08-09")] == [(("grid", "r1"), "experiments")]
    assert store.dependents(trades, versions=range(3, 9)) == []
    assert [edge.key for edge in store.dependents(store.raw["venue/all/r1"])] == [TRADES]
    with pytest.raises(arraystore.AccessDenied):
        arraystore.open_store(chain, role="live").dependents(store.raw["venue/all/r1"])


def test_where_rows_came_from_is_told_as_far_as_the_role_may_read(chain: Path) -> None:
    pin = arraystore.open_store(chain, role="analysis").derived[BARS].pin()
    operations = arraystore.open_store(chain, role="operations").lineage(pin)
    assert [ancestor.pin.storage_class for ancestor in operations.walk()] == ["derived", "canonical", "raw"]
    analysis = arraystore.open_store(chain, role="analysis").lineage(pin)
    assert [bool(ancestor.unreadable) for ancestor in analysis.walk()] == [False, False, True]
    assert "may not read raw" in list(analysis.walk())[-1].unreadable
    assert arraystore.open_store(chain, role="operations").lineage(pin, depth=1).to_json()["made_from"][0]["made_from"] == []


def test_a_correction_shows_what_it_makes_stale(chain: Path) -> None:
    store = arraystore.open_store(chain, role="data-quality")
    trades = store.canonical[TRADES]
    assert store.impact(trades) == []
    trades.replace("2024-08-09", rows(1, start=arraystore.parse_time("2024-08-09")), reason="bad prints")
    stale = store.impact(trades)
    assert [(each.dependent.key, each.window, each.pin.version, each.now) for each in stale] == [(("grid", "r1"), "2024-08-09", 2, 3)]
    assert store.impact(trades, "2024-08-08") == []


def test_what_was_made_again_withdrawn_or_deleted_stands_no_more(chain: Path) -> None:
    quality, analysis = (arraystore.open_store(chain, role=role) for role in ("data-quality", "analysis"))
    trades = quality.canonical[TRADES]

    def stale(store: arraystore.Store) -> set[tuple[str, ...]]:
        found = store.impact(store.canonical[TRADES])
        standing = store.impact(store.canonical[TRADES], only_standing=True)
        assert {each.dependent.key for each in found} == {BARS, ("grid", "r1")}, "all that was made is told for ever"
        assert set(standing) <= set(found)
        return {each.dependent.key for each in standing}

    for day in ("2024-08-08", "2024-08-09"):
        trades.replace(day, rows(1, start=arraystore.parse_time(day)), reason="bad prints")
    assert stale(analysis) == {BARS, ("grid", "r1")}
    bars = analysis.derived[BARS]
    read = analysis.canonical[TRADES].read("2024-08-08", "2024-08-09")
    bars.append(read, inputs=read.pin)
    assert stale(analysis) == {BARS, ("grid", "r1")}, "the old rows are still among them"
    bars.replace("2024-08-08", read, reason="made again", inputs=read.pin)
    assert stale(analysis) == {("grid", "r1")}
    assert stale(quality) == {BARS, ("grid", "r1")}, "whoever may not look must take it as it was"
    trades.replace("2024-08-08", rows(2), reason="more bad prints")
    assert stale(analysis) == {BARS, ("grid", "r1")}
    bars.withdraw("2024-08-08", reason="not worth it")
    assert stale(analysis) == {("grid", "r1")}
    analysis.derived.delete(BARS, reason="nobody reads it")
    assert stale(analysis) == {("grid", "r1")}, "a finished run is a record, and stays stale"


def test_a_run_that_was_begun_again_answers_for_what_it_read_last(chain: Path) -> None:
    quality, backtest = (arraystore.open_store(chain, role=role) for role in ("data-quality", "backtesting"))

    def fail(run: arraystore.Run) -> None:
        with run:
            run.read(backtest.canonical[TRADES], "2024-08-08", "2024-08-09")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail(backtest.experiments.run("grid", "r2"))
    quality.canonical[TRADES].replace("2024-08-08", rows(1), reason="bad prints")
    with backtest.experiments.run("grid", "r2", retry=True) as run:
        run.read(backtest.canonical[TRADES], "2024-08-08", "2024-08-09")
    trades = backtest.canonical[TRADES]
    assert ("grid", "r2") in {each.dependent.key for each in backtest.impact(trades)}
    assert ("grid", "r2") not in {each.dependent.key for each in backtest.impact(trades, only_standing=True)}


def test_the_index_can_be_made_again(chain: Path) -> None:
    store = arraystore.open_store(chain, role="operations")
    trades = store.canonical[TRADES]
    before = store.dependents(trades)
    for edge in (chain / "lineage").rglob("*"):
        if edge.is_file():
            edge.unlink()
    assert store.dependents(trades) == []
    assert store.rebuild_lineage() == 3
    assert store.rebuild_lineage() == 3
    assert store.dependents(trades) == before
    with pytest.raises(arraystore.AccessDenied):
        arraystore.open_store(chain, role="analysis").rebuild_lineage()


def test_a_version_that_appears_while_the_index_is_made_again_is_in_it(chain: Path) -> None:
    """Its edge was there before it; without, nobody would know that what it was made from is pinned."""
    operations, analysis = (arraystore.open_store(chain, role=role) for role in ("operations", "analysis"))
    create = Log._create

    def late(log: Log, key: str, data: bytes, commit: Commit) -> bool:
        operations.rebuild_lineage()
        return create(log, key, data, commit)

    with mock.patch.object(Log, "_create", late):
        made = analysis.derived[BARS].append(rows(1, START + DAY), inputs=analysis.canonical[TRADES].pin())
    assert ("derived", BARS, made.version) in [
        (each.storage_class, each.key, each.version) for each in operations.dependents(operations.canonical[TRADES])
    ]


def test_a_tag_names_versions_for_good(chain: Path) -> None:
    quality = arraystore.open_store(chain, role="data-quality")
    trades = quality.canonical[TRADES]
    first = quality.tag("release/2024-08", [trades.pin()], reason="monthly")
    trades.replace("2024-08-08", rows(1), reason="bad prints")
    second = quality.tag("release/2024-08", [trades.pin()])
    assert (first.version, second.version, quality.tags()) == (1, 2, ["release/2024-08"])
    reader = arraystore.open_store(chain, role="backtesting")
    assert reader.tagged("release/2024-08") == second
    assert reader.read(reader.tagged("release/2024-08", 1).pins[0]).row_count == 100
    with pytest.raises(arraystore.InvalidInput, match="twice"):
        quality.tag("double", [trades.pin(), trades.pin()])
    with pytest.raises(arraystore.InvalidInput, match="at least one"):
        quality.tag("none", [])
    with pytest.raises(arraystore.NotFound, match="release/2024-08"):
        reader.tagged("release")
    with pytest.raises(arraystore.AccessDenied):
        reader.tag("mine", [quality.raw["venue/all/r1"].pin()])


def test_a_store_at_a_tag_reads_exactly_what_it_names(chain: Path) -> None:
    quality = arraystore.open_store(chain, role="data-quality")
    trades = quality.canonical[TRADES]
    quality.tag("t", [trades.pin()])
    trades.replace("2024-08-08", rows(1), reason="bad prints")
    quality.canonical.create(("venue", "trades", "Y"), arraystore.schema_by_name("trades"))
    at = arraystore.open_store(chain, role="data-quality", tag="t")
    assert at.canonical.find() == [TRADES]
    assert at.canonical[TRADES].read().row_count == 100
    assert at.canonical[TRADES].version == 2
    assert at.raw.find() == []
    with pytest.raises(KeyError, match="tag"):
        at.canonical["venue/trades/Y"]
    with pytest.raises(arraystore.InvalidInput, match="tag"):
        at.canonical.create(("venue", "trades", "Z"), arraystore.schema_by_name("trades"))
    with pytest.raises(arraystore.InvalidInput, match="tag"):
        at.quarantine.delete(TRADES, reason="no")
    with pytest.raises(arraystore.InvalidInput, match="2 parts"):
        at.canonical.find("venue/*")
    assert arraystore.open_store(chain, role="data-quality", tag=("t", 1)).canonical.find() == [TRADES]


def many(root: Path, count: int) -> arraystore.Store:
    """Runs that read day after day of one dataset."""
    quality = arraystore.open_store(root, role="data-quality")
    quality.canonical.create(TRADES, arraystore.schema_by_name("trades")).append(rows(100, step=7200 * 10**9))
    store = arraystore.open_store(root, role="backtesting")
    trades = store.canonical[TRADES]
    for number in range(count):
        with store.experiments.run("grid", f"r{number:03d}") as run:
            day = arraystore.parse_time("2024-08-08") + number % 4 * 86_400 * 10**9
            run.uses(trades.pin(day, day + 86_400 * 10**9))
    return quality


def test_many_edges_are_read_as_one_and_none_is_missed_or_invented(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from arraystore.versions import lineage

    monkeypatch.setattr(lineage, "PACK_AFTER", 8)
    store = many(root, 12)
    trades = store.canonical[TRADES]
    used = store.dependents(trades, "2024-08-09")
    assert [edge.key[1] for edge in used] == ["r001", "r005", "r009"]
    (pack,) = [path for path in (root / "lineage" / "packed").rglob("*") if path.is_file()]
    good = pack.read_bytes()
    opener = Counted()
    again = arraystore.open_store(root, role="data-quality", opener=opener)
    opener.calls = 0
    assert again.dependents(trades, "2024-08-09") == used
    assert opener.calls < 6
    for bad in (b"", good[:-1], good[:200] + bytes([good[200] ^ 1]) + good[201:]):
        pack.write_bytes(bad)
        assert store.dependents(trades, "2024-08-09") == used
    pack.write_bytes(good)
    with arraystore.open_store(root, role="backtesting").experiments.run("grid", "later") as run:
        run.uses(trades.pin("2024-08-09", "2024-08-10"))
    assert [edge.key[1] for edge in store.dependents(trades, "2024-08-09")] == ["r001", "r005", "r009", "later"]
    (folder,) = (root / "lineage" / "canonical").iterdir()
    for edge in folder.iterdir():
        edge.unlink()
    assert store.dependents(trades) == [], "what lies nowhere else is made up"
    assert arraystore.open_store(root, role="operations").rebuild_lineage() == 13
    assert [edge.key[1] for edge in store.dependents(trades, "2024-08-09")] == ["r001", "r005", "r009", "later"]


def test_whoever_adds_edges_packs_them_now_and_then(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from arraystore.versions import lineage

    monkeypatch.setattr(lineage, "PACK_AFTER", 3)
    monkeypatch.setattr(lineage, "PACK_BELOW", "g")
    many(root, 4)
    assert any(path.is_file() for path in (root / "lineage" / "packed").rglob("*"))


def days(root: Path, count: int) -> tuple[arraystore.Dataset, arraystore.Dataset]:
    """Trades of some days, and a dataset for what is made of them."""
    trades = arraystore.open_store(root, role="data-quality", create=True).canonical.create(TRADES, arraystore.schema_by_name("trades"))
    trades.append(rows(count, step=DAY))
    bars = arraystore.open_store(root, role="analysis").derived.create(BARS, arraystore.schema_by_name("trades"))
    return trades, bars


def test_many_ranges_of_one_version_are_one_look_at_it(root: Path) -> None:
    trades, bars = days(root, 40)
    pins = [trades.pin(START + day * DAY, START + (day + 1) * DAY) for day in range(40)]
    with mock.patch.object(Surface, "check_pin", autospec=True, side_effect=Surface.check_pin) as looks:
        bars.append(rows(40, step=DAY), inputs=[*pins, trades.at(1).pin()])
    assert looks.call_count == 4, "of two versions, before and after the commit"
    assert [len(manifest.lineage) for manifest in bars.manifests()] == [41] * 40
    wrong = msgspec.structs.replace(pins[-1], digest="0" * 64)
    with pytest.raises(arraystore.NotFound, match="the pin names 0000"):
        bars.append(rows(40, step=DAY), inputs=[*pins, wrong])


def test_inputs_times_windows_have_a_limit_that_is_told_before_anything_is_written(root: Path) -> None:
    trades, bars = days(root, 3)
    pins = [trades.pin(START, START + 1 + number) for number in range(5)]
    with mock.patch("arraystore.datasets.writer.LINEAGE_LIMIT", 14):
        for many in (3, 30_000):  # tails, or segments
            with pytest.raises(arraystore.InvalidInput, match=r"5 inputs of 3 windows are 15 .* than 14: pass one pin"):
                bars.append(rows(many, step=3 * DAY // many), inputs=pins)
        assert sorted(path.name for path in (root / "derived" / "/".join(BARS)).iterdir()) == ["_log", "zarr.json"]
        bars.append(rows(3, step=DAY), inputs=pins[:4])
        bars.replace("2024-08-08", rows(1), inputs=pins, reason="one window may have any number")
    assert [len(manifest.lineage) for manifest in bars.manifests()] == [5, 4, 4]
