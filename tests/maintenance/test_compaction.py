"""Compaction changes how rows lie, and never which rows there are, in which order, or what an older version says."""

import tracemalloc
import uuid
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import arraystore
from arraystore.datasets import compaction
from arraystore.datasets.compaction import CompactionRule, Compactor, plan_compaction
from arraystore.errors import AccessDenied, Conflict, Corrupt, InvalidInput, NotFound
from arraystore.segments.segment import write_contents
from tests.maintenance.conftest import KEY, Opened, made, maintained, plain, schema_of, spread, values
from tests.store.conftest import START

LARGE = 10_000  # more than a tail takes


def kinds(dataset: arraystore.DatasetView, window: str = "2024-08-08") -> list[str]:
    return ["tail" if entry.tail else "segment" for entry in dataset.manifest(window).segments]


@pytest.mark.parametrize("order", ["arrival", "time"])
def test_segments_and_tails_become_one_segment_with_the_same_rows(opened: Opened, order: str) -> None:
    dataset = made(opened, order)
    for first in (0, 5_000, 2_000):
        dataset.append(plain(LARGE, first))
    for first in (7, 3, 20_000):
        dataset.append(plain(5, first))
    before, old = values(dataset), dataset.version
    assert kinds(dataset) == ["segment"] * 3 + ["tail"] * 3
    done = maintained(opened).compact("2024-08-08")
    assert (done.version, len(done.runs), done.rows) == (old + 1, 1, 3 * LARGE + 15)
    found = maintained(opened)
    assert kinds(found) == ["segment"]
    assert values(found) == before == values(found.at(old))
    assert not found.verify(deep=True)
    assert found.versions()[-1].operation == "compact"
    assert not found.diff(old)


def test_the_compacted_segment_takes_the_place_of_its_sources(opened: Opened) -> None:
    """What lies behind stays behind, though it is older than the compaction."""
    dataset = made(opened)
    for first in range(4):
        dataset.append(plain(LARGE, first * LARGE))
    before = values(dataset)
    maintained(opened).compact(max_rows=2 * LARGE)
    found = maintained(opened)
    assert [entry.rows for entry in found.manifest("2024-08-08").segments] == [2 * LARGE] * 2
    assert [entry.order[0] for entry in found.manifest("2024-08-08").segments] == [2, 4]
    dataset.append(plain(3, 9))
    assert values(found.refresh()) == [*before, *values(dataset)[-3:]]
    found.compact()
    assert kinds(found) == ["segment"]
    assert values(found)[: len(before)] == before


def test_what_is_compact_already_makes_no_version(opened: Opened) -> None:
    dataset = made(opened)
    dataset.append(plain(LARGE))
    done = maintained(opened).compact()
    assert (done.version, done.runs) == (None, ())
    assert maintained(opened).version == dataset.version


def test_a_plan_tells_what_would_be_done_and_does_nothing(opened: Opened) -> None:
    dataset = made(opened)
    for _ in range(3):
        dataset.append(spread(4))
    plan = maintained(opened).compact(dry_run=True)
    assert [(run.window, len(run.sources), run.rows, run.result) for run in plan.runs] == [
        ("2024-08-08", 3, 12, None),
        ("2024-08-09", 3, 12, None),
        ("2024-08-10", 3, 12, None),
    ]
    assert plan.to_json()["runs"][0]["tails"] == 3
    assert maintained(opened).version == dataset.version
    done = maintained(opened).compact(["2024-08-08", "2024-08-10"])
    assert [run.window for run in done.runs] == ["2024-08-08", "2024-08-10"]
    assert kinds(maintained(opened), "2024-08-09") == ["tail"] * 3


def test_large_segments_can_be_left_alone(opened: Opened) -> None:
    dataset = made(opened)
    dataset.append(plain(LARGE))
    for first in range(3):
        dataset.append(plain(4, first))
    large = dataset.manifest("2024-08-08").segments[0]
    done = maintained(opened).compact(leave_bytes=large.bytes)
    assert [[entry.name for entry in run.sources] for run in done.runs] == [[3, 4, 5]]
    assert maintained(opened).manifest("2024-08-08").segments[0] == large


def test_a_window_that_grows_is_compacted_in_tiers(opened: Opened) -> None:
    """64 times it grows by a segment, and is compacted: a row is written anew log2(64) times, where it was 32 times on average."""
    dataset, written, grown = made(opened), 0, 64
    for number in range(grown):
        with mock.patch("arraystore.datasets.writer.TAIL_BYTES", 0):
            dataset.append(plain(100, number * 100))
        written += maintained(opened).compact(tiered=True).rows
    rows = 100 * grown
    found = maintained(opened)
    assert rows < written <= rows * 6
    assert len(kinds(found)) <= 7
    assert values(found) == values(dataset.refresh())
    assert found.read(columns=["time"])["time"].view("i8").tolist() == plain(rows, 0)["time"].tolist()
    assert not found.verify(deep=True)
    dataset.update(window="2024-08-08", completeness="complete")
    maintained(opened).compact(tiered=True)
    assert kinds(maintained(opened)) == ["segment"]
    assert values(maintained(opened)) == values(found)


def test_only_operations_compacts(opened: Opened) -> None:
    dataset = made(opened)
    with pytest.raises(AccessDenied, match="data-quality may not maintain canonical"):
        dataset.compact()


def test_bad_arguments_are_told(opened: Opened) -> None:
    made(opened).append(plain(3))
    dataset = maintained(opened)
    for wrong in ({"max_rows": 0}, {"max_rows": 1 << 27}, {"leave_bytes": -1}, {"threads": 0}, {"max_rows": True}):
        with pytest.raises(InvalidInput):
            dataset.compact(**wrong)
    with pytest.raises(NotFound, match="2024-08-08"):
        dataset.compact("2024-09-09")


def test_a_sealed_run_may_be_compacted(opened: Opened) -> None:
    with opened("backtesting").experiments.run("grid", run_id="a") as run:
        for first in range(3):
            run.write("equity", plain(LARGE, first), schema=schema_of())
    found = opened("operations").experiments["grid", "a"]
    before = found.read(window="equity")["size"].tolist()
    assert found.sealed
    found.compact("equity")
    assert len(found.manifest("equity").segments) == 1
    assert found.read(window="equity")["size"].tolist() == before
    assert found.sealed


MEANWHILE: dict[str, Callable[[arraystore.Dataset], object]] = {
    "a tail comes": lambda dataset: dataset.append(plain(3, 50)),
    "a segment takes the tails in": lambda dataset: dataset.append(plain(LARGE, 50)),
    "the window is replaced": lambda dataset: dataset.replace("2024-08-08", plain(7, 1_000), reason="r"),
    "the window is withdrawn": lambda dataset: dataset.withdraw("2024-08-08", reason="r"),
    "the window is completed": lambda dataset: dataset.update(window="2024-08-08", completeness="complete"),
    "another window gets rows": lambda dataset: dataset.append(plain(3, 50, START - 86_400 * 10**9)),
    "the schema changes": lambda dataset: dataset.evolve(
        arraystore.Schema(name="plain", order="arrival", columns=(*schema_of().columns, arraystore.Column(name="more", nullable=True)))
    ),
    "it is compacted": lambda dataset: None,
}


@pytest.mark.parametrize("what", MEANWHILE)
def test_what_others_do_meanwhile_is_never_lost(opened: Opened, what: str) -> None:
    dataset = made(opened)
    dataset.append(plain(LARGE))
    for first in range(3):
        dataset.append(plain(5, first))
    wanted: list[object] = []
    write = Compactor._write

    def writing(self: Compactor, *args: object) -> None:
        write(self, *args)
        if not wanted:
            wanted.append(None)
            MEANWHILE[what](dataset)
            if what == "it is compacted":
                maintained(opened).compact()
            wanted[:] = values(dataset.refresh())

    with mock.patch.object(Compactor, "_write", writing):
        maintained(opened).compact()
    assert values(maintained(opened)) == wanted
    assert not maintained(opened).verify(deep=True)
    assert all(len(kinds(maintained(opened), window)) <= 2 for window in maintained(opened).windows())


def test_when_others_always_are_faster_it_gives_up_and_harms_nothing(opened: Opened) -> None:
    dataset = made(opened)
    dataset.append(plain(LARGE))
    dataset.append(plain(LARGE))
    with mock.patch.object(compaction.CompactionRun, "holds", return_value=False), pytest.raises(Conflict, match="20 times"):
        maintained(opened).compact()
    assert len(values(maintained(opened))) == 2 * LARGE


def test_a_segment_that_comes_out_damaged_is_not_published(opened: Opened) -> None:
    dataset = made(opened)
    dataset.append(plain(LARGE))
    dataset.append(plain(LARGE))
    version = dataset.version
    storage = dataset._log.storage

    def torn(batch: object, prefix: str, *args: object, **options: object) -> object:
        done = write_contents(batch, prefix, *args, **options)  # type: ignore[arg-type]
        data = bytearray(storage.get(f"{prefix}/size/0"))
        data[100] ^= 1
        storage.put(f"{prefix}/size/0", bytes(data), durable=True)
        return done

    with mock.patch.object(compaction, "write_contents", torn), pytest.raises(Corrupt, match="just written"):
        maintained(opened).compact()
    assert maintained(opened).version == version


@given(
    st.lists(st.tuples(st.integers(1, 50), st.booleans()), max_size=12), st.integers(20, 60), st.sampled_from((None, 2_000)), st.booleans()
)
@settings(max_examples=20)
def test_a_plan_joins_neighbours_only_and_no_more_than_it_may(
    sizes: list[tuple[int, bool]], max_rows: int, leave_bytes: int | None, tiered: bool
) -> None:
    dataset = arraystore.open_store(f"memory://{uuid.uuid4().hex}", role="data-quality", create=True).canonical.create(KEY, schema_of())
    for number, (count, as_segment) in enumerate(sizes):
        with mock.patch("arraystore.datasets.writer.TAIL_BYTES", 0 if as_segment else 1 << 20):
            dataset.append(plain(count, number * 100))
    state = dataset._log.head()
    runs = plan_compaction(state, state.window_names(), CompactionRule(max_rows=max_rows, leave_bytes=leave_bytes, tiered=tiered))
    for run in runs:
        assert run.holds(state)
        assert run.rows <= max_rows or len(run.sources) == 1
        assert len(run.sources) > 1 or run.sources[0].tail
        assert leave_bytes is None or all(entry.tail or entry.bytes < leave_bytes for entry in run.sources)
    named = [entry.name for run in runs for entry in run.sources]
    assert len(named) == len(set(named))
    tails = {entry.name for name in state.window_names() for entry in state.window(name).segments if entry.tail}
    assert tails <= set(named), "every tail becomes part of a segment"


@pytest.mark.slow
def test_memory_stays_small_whatever_is_compacted(tmp_path: Path) -> None:
    """Twenty segments of 4 MB that overlap in time: no more than some slices of them are ever held."""

    def opened(role: str) -> arraystore.Store:
        return arraystore.open_store(tmp_path / "store", role=role, create=True)

    dataset = made(opened, "time")
    count = 250_000
    random = np.random.default_rng(0)
    for _ in range(20):
        times = np.sort(START + random.integers(0, 10**12, count))
        dataset.append({"time": times, "size": random.random(count)})
    found = maintained(opened)
    with mock.patch("arraystore.datasets.joining.SLICE_BYTES", 1 << 20):
        tracemalloc.start()
        found.compact(threads=2)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert len(found.manifest("2024-08-08").segments) == 1
    assert peak < 40 << 20, f"{peak} bytes, where the rows have {20 * count * 16}"


def test_what_was_made_of_compacted_rows_is_not_stale(opened: Opened) -> None:
    dataset = made(opened)
    dataset.append(plain(LARGE))
    dataset.append(plain(5))
    store = opened("data-quality")
    other = store.canonical.create((*KEY[:2], "Y"), schema_of())
    other.append(plain(1), inputs=dataset.pin())
    maintained(opened).compact()
    maintained(opened).compact()
    assert store.impact(dataset.refresh()) == []
    dataset.replace("2024-08-08", plain(3), reason="r")
    maintained(opened).compact()
    assert [stale.now for stale in store.impact(dataset.refresh())] == [dataset.version]


def test_who_follows_is_told_of_no_row_twice(opened: Opened) -> None:
    dataset = made(opened)
    for first in range(3):
        dataset.append(plain(5, first * 5))
    dataset.append(plain(LARGE, 15))
    dataset.append(plain(5, LARGE + 15))
    maintained(opened).compact()
    dataset.append(plain(5, LARGE + 20))
    seen: list[float] = []
    for update in opened("analysis").canonical[KEY].follow(since=1, timeout=0):
        assert not update.corrected
        seen += [size for frame in update.frames.values() for size in frame["size"].tolist()]
    assert seen == list(range(LARGE + 25))
