"""Datasets and stores of ours: clean ones are clean, and what would serve better, or was left by the dead, is told."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import arraystore
from arraystore import Column, Schema, WindowLength
from arraystore.storage import open_storage
from arraystore.testing import generate
from arraystore.versions.log import Log
from layouts.deviations import STORE_RULES
from layouts.windowlint import WindowFacts, label_deviations, length_deviations, unfinished_deviations, window_deviations
from tests.cli.conftest import build
from tests.conftest import PROJECT
from tests.lint.conftest import KEY, SCHEMA, SECOND, START, edit, rows, store_as
from tests.sessions.conftest import fills

DAY = 86_400 * SECOND
FEW = Schema(name="few", columns=(Column(name="time", kind="time"), Column(name="price")))

type Harm = Callable[[Path], object]


def few(count: int = 10, day: int = 0, first: int = 0) -> dict[str, Any]:
    return {"time": START + day * DAY + (first + np.arange(count)) * SECOND, "price": np.random.default_rng(day + first).random(count)}


def of(root: Path) -> arraystore.Dataset:
    return store_as(root).canonical[KEY]


def made(root: Path, schema: Schema = FEW, **options: Any) -> arraystore.Dataset:
    return store_as(root).canonical.create(KEY, schema, **options)


def place(root: Path) -> Path:
    return root / "canonical" / "venue" / "many" / "X"


# --- what is to be told ------------------------------------------------------------------------------------------


def with_segments(root: Path) -> None:
    dataset = made(root)
    for number in range(8):
        dataset.append(few(10_000, first=number * 10_000))


def evolved(root: Path) -> None:
    dataset = made(root)
    for number in range(2):
        dataset.append(few(10_000, first=number * 10_000))
    more = msgspec.structs.replace(FEW, columns=(*FEW.columns, Column(name="size", nullable=True)))
    dataset.evolve(more)


def of_two_profiles(root: Path) -> None:
    dataset = made(root)
    dataset.append(few(), completeness="complete")
    log = dataset._log
    from arraystore.versions.draft import Draft, draft_commit

    log.publish(lambda _: Draft(draft_commit("update", "data-quality", profile="portable")))


def with_many_labels(root: Path) -> None:
    made(root, SCHEMA).append(rows(200, labels=(f"order-{number}" for number in range(200))), completeness="complete")


def of_short_windows(root: Path) -> None:
    dataset = made(root, msgspec.structs.replace(FEW, window=WindowLength.HOUR))
    for hour in range(9):
        dataset.append(few(5, first=3600 * hour), completeness="complete")


def with_an_open_window(root: Path) -> None:
    dataset = made(root)
    dataset.append(few(day=0))
    dataset.append(few(day=1), completeness="complete")


def with_garbage(root: Path) -> None:
    made(root).append(few(), completeness="complete")
    (segment,) = place(root).glob("2024-08-08/*")
    shutil.copytree(segment, segment.with_name(f"1-{'a' * 32}"))


def with_an_orphan(root: Path) -> None:
    made(root)
    (place(root) / "_manifests").mkdir()
    (place(root) / "_manifests" / ("0" * 64)).write_bytes(b"")


def moved(root: Path) -> Path:
    made(root)
    return Path(shutil.copytree(place(root), root.parent / "elsewhere"))


def damaged(root: Path) -> None:
    made(root)
    file = place(root) / "_log" / f"{1:020d}"
    file.write_bytes(b"x" + file.read_bytes()[1:])


def without_an_index(root: Path) -> None:
    made(root).append(few(), completeness="complete")
    (index,) = place(root).glob("2024-08-08/*/time/_index")
    index.unlink()


def twins(root: Path) -> None:
    for name in ("X", "x"):
        store_as(root).canonical.create(("venue", "many", name), FEW)


def unborn(root: Path) -> None:
    made(root)
    (root / "canonical" / "venue" / "many" / "Y").mkdir()


def touched(name: str) -> Harm:
    def touch(root: Path) -> None:
        made(root).append(few(), completeness="complete")
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("?")

    return touch


CASES: list[tuple[str, Harm, str]] = [
    ("many-segments", with_segments, "canonical/venue/many/X/2024-08-08"),
    ("older-schema", evolved, "canonical/venue/many/X/2024-08-08"),
    ("mixed-profiles", of_two_profiles, "canonical/venue/many/X/2024-08-08/*"),
    ("many-labels", with_many_labels, "canonical/venue/many/X/2024-08-08/*/symbol"),
    ("short-windows", of_short_windows, "canonical/venue/many/X"),
    ("unfinished", with_an_open_window, "canonical/venue/many/X/2024-08-08"),
    ("garbage", with_garbage, f"canonical/venue/many/X/2024-08-08/1-{'a' * 32}"),
    ("garbage", with_an_orphan, f"canonical/venue/many/X/_manifests/{'0' * 64}"),
    ("unreadable", damaged, "canonical/venue/many/X"),
    ("unreadable", without_an_index, "canonical/venue/many/X/2024-08-08/*"),
    ("key-case", twins, "canonical/venue/many/X"),
    ("unborn", unborn, "canonical/venue/many/Y"),
    ("not-a-key", lambda root: (made(root), (root / "canonical" / "venue" / "=zz").mkdir()), "canonical/venue/=zz"),
    ("temporary", touched("canonical/venue/many/X/_log/.tmp-1"), "canonical/venue/many/X/_log/.tmp-1"),
    ("staging", touched("staging/half"), "./staging"),
    ("stray", touched("canonical/venue/many/X/2024-08-08/notes"), "canonical/venue/many/X/2024-08-08/notes"),
    ("stray", touched("canonical/venue/many/X/old/notes"), "canonical/venue/many/X/old/notes"),
    ("stray", touched("canonical/venue/many/X/notes"), "canonical/venue/many/X/notes"),
    ("stray", touched("canonical/notes"), "canonical/notes"),
    ("stray", touched("notes"), "./notes"),
    ("stray", touched("backup/notes"), "./backup"),
    ("link", lambda root: (made(root), (root / "raw" / "venue").symlink_to("/etc")), "raw/venue"),
]


@pytest.mark.parametrize(("rule", "harm", "where"), CASES, ids=[f"{case[0]}-{number}" for number, case in enumerate(CASES)])
def test_what_is_to_be_told_of_a_store_is_told_and_nothing_else(tmp_path: Path, rule: str, harm: Harm, where: str) -> None:
    root = tmp_path / "store"
    harm(root)
    found = arraystore.lint(root)
    assert [each.rule for each in found] == [rule], found
    assert Path(found[0].place).full_match(where)
    assert all((found[0].found, found[0].wanted, found[0].why, found[0].remedy))
    assert [each.rule for each in store_as(root, "operations").lint()] == [rule]


def test_a_dataset_elsewhere_is_told_to_be_there(tmp_path: Path) -> None:
    (found,) = arraystore.lint(moved(tmp_path / "store"))
    assert found.rule == "misplaced"
    elsewhere = tmp_path / "canonical" / "venue" / "many" / "X"
    shutil.copytree(place(tmp_path / "store"), elsewhere)
    (found,) = arraystore.lint(elsewhere)
    assert (found.rule, "root of class canonical" in found.found) == ("misplaced", True)


def facts(size: int = 1 << 20, **other: Any) -> WindowFacts:
    return WindowFacts(
        **{"name": "2024-08-08", "rows": 10, "bytes": size, "completeness": "open", "segments": 1, "tails": 0, "tail_bytes": 0} | other
    )


def test_windows_are_judged_by_their_numbers() -> None:
    assert [*window_deviations("x", facts()), *length_deviations("x", WindowLength.DAY, [facts()] * 9)] == []
    assert [each.rule for each in window_deviations("x", facts(tails=256, tail_bytes=100))] == ["unfolded"]
    assert [each.rule for each in window_deviations("x", facts(tails=3, tail_bytes=1 << 20))] == ["unfolded"]
    assert [*window_deviations("x", facts(size=9 << 20, segments=8))] == []
    assert [each.rule for each in window_deviations("x", facts(size=7 << 20, segments=8))] == ["many-segments"]
    (short,) = length_deviations("x", WindowLength.HOUR, [facts(1 << 10)] * 9)
    assert (short.rule, short.wanted) == ("short-windows", "windows of a month, of about 737,280 bytes")
    assert [*length_deviations("x", WindowLength.YEAR, [facts(1 << 10)] * 9)] == [], "there is no longer one"
    assert [*length_deviations("x", WindowLength.DAY, [facts(1 << 10)] * 7)] == [], "too few to tell"
    (long,) = length_deviations("x", WindowLength.DAY, [facts(5 << 30)])
    assert (long.rule, long.wanted, long.place) == ("long-windows", "windows of a hour", "x/2024-08-08")
    assert [each.rule for each in length_deviations("x", WindowLength.YEAR, [facts(rows=100 << 20)])] == ["long-windows"]
    assert [*length_deviations("x", WindowLength.HOUR, [facts(5 << 30)])] == [], "there is no shorter one"
    assert [*unfinished_deviations("x", [facts()] * 5)] == [], "nobody says"
    assert [*label_deviations("x", "c", 64, 64), *label_deviations("x", "c", 4096, 10_000)] == []
    assert [each.rule for each in label_deviations("x", "c", 4097, 10**9)] == ["many-labels"]


def test_every_rule_of_stores_has_a_case() -> None:
    told = {case[0] for case in CASES} | {"misplaced", "long-windows", "unfolded"}
    assert told >= {rule.name for rule in STORE_RULES}


# --- what is clean -----------------------------------------------------------------------------------------------


def test_a_store_as_it_is_used_has_nothing_to_tell(tmp_path: Path) -> None:
    build(tmp_path / "store")
    for role in arraystore.Role:
        assert store_as(tmp_path / "store", role).lint() == []


@pytest.mark.parametrize("profile", list(arraystore.Profile))
def test_what_any_shipped_schema_becomes_is_as_the_layout_says(tmp_path: Path, profile: str) -> None:
    surface = store_as(tmp_path / "store").canonical
    few_kinds = ("trades", "raw_messages", "book_snapshots")  # of all kinds of columns
    for name in arraystore.SCHEMAS if profile == arraystore.Profile.DENSE else few_kinds:
        schema = arraystore.schema_by_name(name)
        surface.create(("venue", name, "X"), schema, profile=profile).append(generate(name, 500, seed=7), completeness="complete")
    told = [each for each in surface.lint() if each.rule not in ("many-labels", "short-windows")]
    assert told == []


def test_real_quotes_are_as_the_layout_says(tmp_path: Path, shared_data: Path) -> None:
    store = store_as(tmp_path / "store")
    files = [shared_data / "oanda-xauusd" / f"2014050{day}_quote.zip" for day in (1, 4)]
    arraystore.ingest(store, files, mapping="oanda-xauusd", completeness="complete")
    assert store.lint() == []
    assert [each for path in (tmp_path / "store").glob("canonical/*/*/*/20*/*") for each in arraystore.lint(path)] == []


@pytest.mark.parametrize("golden", sorted((PROJECT / "tests" / "format").glob("golden-*")), ids=lambda path: path.name)
def test_stores_of_before_are_as_the_layout_says(golden: Path) -> None:
    """They have windows that were left open, and segments of before their schema grew."""
    assert {each.severity for each in arraystore.lint(golden / "store")} <= {arraystore.Severity.ADVICE}


def test_locks_and_live_sessions_leave_nothing_to_tell(tmp_path: Path) -> None:
    live = store_as(tmp_path / "store", "live")
    live.execution_records.session("live", "2024/08").append("fills", fills("a", "b"))
    assert [*(tmp_path / "store").rglob("_lock")]
    assert live.lint() == store_as(tmp_path / "store", "operations").lint() == []


def test_what_was_replaced_deleted_or_made_again_is_no_garbage(tmp_path: Path) -> None:
    store = store_as(tmp_path / "store")
    dataset = made(tmp_path / "store")
    dataset.append(few(20_000), completeness="complete")
    dataset.replace("2024-08-08", few(30_000), reason="x")
    dataset.add_file(b"first", "report")
    dataset.add_file(b"second", "report")
    assert dataset.lint() == dataset.at(2).lint() == []
    log = Log(open_storage(store.canonical.url), "venue/many/X", "canonical")
    from arraystore.datasets.tombstone import deletion_draft

    log.publish(lambda _: deletion_draft("operations", "x"))
    assert store.lint() == []
    made(tmp_path / "store").append(few(20_000), completeness="complete")
    assert store.lint() == []


def test_a_class_and_a_dataset_are_looked_at_by_their_paths(tmp_path: Path) -> None:
    with_garbage(tmp_path / "store")
    for path in (tmp_path / "store" / "canonical", place(tmp_path / "store")):
        assert [each.rule for each in arraystore.lint(path)] == ["garbage"]
    assert arraystore.lint(tmp_path / "store" / "raw") == []


def test_the_role_is_checked_before_anything_is_read(tmp_path: Path) -> None:
    build(tmp_path / "store")
    store = store_as(tmp_path / "store", "backtesting")
    with pytest.raises(arraystore.AccessDenied):
        store.raw.lint()
    with pytest.raises(arraystore.AccessDenied):
        arraystore.lint(tmp_path / "store" / "raw", role="live")
    (raw,) = (tmp_path / "store" / "raw").glob("*/*/rec-1")
    with pytest.raises(arraystore.AccessDenied):
        arraystore.lint(raw, role="live")
    edit(next(raw.glob("2024-08-08/*")), attributes={})
    assert [each.rule for each in arraystore.lint(raw)] == ["conventions", "segment"]
    assert arraystore.lint(tmp_path / "store", role="live") == []


def test_a_store_at_a_tag_tells_of_what_the_tag_names(tmp_path: Path) -> None:
    store = store_as(tmp_path / "store")
    with_segments(tmp_path / "store")
    store.tag("early", [store.canonical[KEY].at(2).pin()])
    store.tag("late", [store.canonical[KEY].pin()])
    for tag, rules in (("early", []), ("late", ["many-segments"])):
        assert [each.rule for each in arraystore.open_store(tmp_path / "store", role="analysis", tag=tag).lint()] == rules
