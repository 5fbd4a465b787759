"""What a replay takes and refuses, which clocks it goes by, what it holds in memory; and recorded market data."""

import tracemalloc
import uuid

import numpy as np
import pytest

import arraystore
from arraystore import Column, Kind, ReplayPosition, ReplayStream, Schema, schema_by_name
from arraystore.replays import blocks, merging
from arraystore.testing.strategies import small_chunks
from tests.replays.conftest import START, schema_of, tails

SECOND = 10**9


@pytest.fixture
def store():
    return arraystore.open_store(f"memory://{uuid.uuid4().hex}", role="data-quality", create=True)


def trades_of(times, **more):
    times = np.asarray(times)
    count = len(times)
    return {
        "time": times,
        "price": np.arange(count) * 1.0,
        "size": np.ones(count),
        "side": np.ones(count, np.int8),
        "flags": [0] * count,
    } | more


def made(store, name, data, **options):
    dataset = store.canonical.create(("venue", name, str(len(store.canonical.find()))), schema_by_name(name, **options))
    dataset.append(data)
    return dataset


def times_of(replay):
    return [int(time) for batch in replay for time in batch.time.astype(np.int64)]


def test_a_bar_comes_when_it_is_known_and_not_when_it_begins(store):
    bar = {name: [1.0] for name in ("open", "high", "low", "close", "volume")}
    bars = made(store, "bars", bar | {"open_time": [START], "close_time": [START + 60 * SECOND], "is_revision": [False]})
    trades = made(store, "trades", trades_of([START + 30 * SECOND, START + 90 * SECOND]))
    replay = arraystore.replay([bars, trades])
    assert replay.clocks == ("close_time", "time")
    assert [(record.time - START) // SECOND for record in replay.records()] == [30, 60, 90]
    assert [record.stream for record in replay.records()] == [1, 0, 1]


def test_a_capture_time_beside_the_axis_is_the_clock_where_there_is_one(store):
    told = made(store, "trades", trades_of([START, START + 1], capture_time=[START + 9, START + 7]), clock="exchange")
    untold = made(store, "trades", trades_of([START + 5]), clock="exchange")
    replay = arraystore.replay([told, untold])
    assert replay.clocks == ("capture_time", "time")
    assert times_of(replay) == [START + 5, START + 7, START + 9]


def test_streams_may_have_clocks_columns_windows_and_names_of_their_own(store):
    times = np.array([START, START + 2 * SECOND])
    first = made(store, "trades", trades_of(times, exchange_time=times - 5))
    by_exchange = ReplayStream(first, name="exchange", clock="exchange_time", columns=["price"])
    second_day = ReplayStream(first, name="later", window="2024-08-09")
    replay = arraystore.replay([by_exchange, second_day], columns=["size", "side"])
    assert replay.names == ("exchange", "later")
    (batch,) = replay
    assert (batch.time.astype(np.int64) - START).tolist() == [-5, 2 * SECOND - 5, 2 * SECOND]
    assert (list(batch["exchange"]), list(batch["later"])) == (["price"], ["size", "side"])
    assert [pin.columns for pin in replay.pins] == [("price",), ("size", "side")]


def test_only_the_instruments_asked_for_come(store):
    labels = arraystore.Labels.from_values(["A", "B", "A", "C"])
    data = trades_of(START + np.arange(4), instrument=labels)
    many = made(store, "trades", data, all_instruments=True)
    found = arraystore.replay([ReplayStream(many, instruments=["A", "C"])])
    assert [record.values["instrument"] for record in found.records()] == ["A", "A", "C"]


def test_windows_whose_clock_is_null_throughout_are_refused_before_anything_is_read(store):
    trades = made(store, "trades", trades_of([START, START + 1]))
    with pytest.raises(arraystore.InvalidInput, match=r"'exchange_time' is null in all 2 rows from .* of window 2024-08-08.*nulls='skip'"):
        arraystore.replay([trades], clock="exchange_time")
    left_out = arraystore.replay([trades], clock="exchange_time", nulls="skip")
    assert (times_of(left_out), left_out.skipped) == ([], (2,))
    assert times_of(arraystore.replay([trades], START + SECOND, clock="exchange_time")) == []


def test_what_cannot_be_replayed_is_refused_with_a_remedy(store):
    trades, quotes = made(store, "trades", trades_of([START])), made(store, "quotes", {"time": [START], "flags": [0]})
    signed = store.canonical.create(
        ("v", "signed", "X"), Schema(name="s", columns=(Column(name="time", kind=Kind.TIME), Column(name="n", dtype="int8")))
    )
    unsigned = store.canonical.create(
        ("v", "un", "X"), Schema(name="s", columns=(Column(name="time", kind=Kind.TIME), Column(name="n", dtype="uint64")))
    )
    for call, told in (
        (lambda: arraystore.replay(trades), "pass \\[dataset"),
        (lambda: arraystore.replay([]), "give 1 to"),
        (lambda: arraystore.replay(["BTC"]), "a str isn't a dataset: open one"),
        (lambda: arraystore.replay([trades, trades]), r"tell them apart with ReplayStream\(dataset, name="),
        (lambda: arraystore.replay([trades], clock="price"), "no clock of schema trades; its clocks are time"),
        (lambda: arraystore.replay([trades], ties=["price"]), "'price' is of kind float64: ties are whole numbers"),
        (lambda: arraystore.replay([trades], ties=["condition"]), "'condition' is of kind dictionary"),
        (lambda: arraystore.replay([trades], ties=["nothing"]), "no stream has a column 'nothing'; there are time"),
        (lambda: arraystore.replay([signed, unsigned], ties="n"), "can't be compared: leave it out"),
        (lambda: arraystore.replay([trades, quotes], columns=["bid"]), "no stream has a column 'bid'"),
        (lambda: arraystore.replay([trades], nulls="drop"), "neither 'refuse' nor 'skip'"),
        (lambda: arraystore.replay([trades], batch_rows=0), "isn't a whole number from 1 up"),
        (lambda: arraystore.replay([trades], prefetch=-1), "isn't a whole number from 0 up"),
        (lambda: arraystore.replay([trades], threads=0), "isn't a number of threads"),
        (lambda: arraystore.replay([trades], START + 1, START), "is after end"),
        (lambda: arraystore.replay([trades], position="x"), "isn't a ReplayPosition"),
        (lambda: ReplayPosition.from_json("{}"), "is no position"),
        (lambda: next(iter(arraystore.replay([signed, unsigned]))).gather("n"), None),
    ):
        if told is not None:
            with pytest.raises(arraystore.InvalidInput, match=told):
                call()
    (batch,) = arraystore.replay([trades, quotes])
    with pytest.raises(arraystore.NotFound, match="no stream 'X'"):
        batch["X"]
    with pytest.raises(arraystore.NotFound, match="no stream of this replay has a column 'nothing'"):
        batch.gather("nothing")
    assert batch.gather("bid_price").tolist() != [0.0, 0.0]


def test_columns_of_one_name_and_different_meaning_are_not_mixed(store):
    label = Column(name="what", kind=Kind.DICTIONARY)
    kinds = {"a": label, "b": Column(name="what"), "c": Column(name="what", dtype="int64"), "d": Column(name="what", dtype="uint64")}
    time = Column(name="time", kind=Kind.TIME)
    found = {name: store.canonical.create(("v", name, "X"), Schema(name="s", columns=(time, column))) for name, column in kinds.items()}
    for name, dataset in found.items():
        dataset.append({"time": [1], "what": ["x"] if name == "a" else [2]})
    (labels,) = arraystore.replay([found["a"], found["b"]])
    with pytest.raises(arraystore.InvalidInput, match="streams have it as dictionary and as number"):
        labels.gather("what")
    (numbers,) = arraystore.replay([found["c"], found["d"]])
    with pytest.raises(arraystore.InvalidInput, match="no whole number holds int64 and uint64"):
        numbers.gather("what")
    (floats,) = arraystore.replay([found["b"], found["c"]])
    assert floats.gather("what").tolist() == [2.0, 2.0]


def test_a_position_belongs_to_its_inputs(store):
    trades = made(store, "trades", trades_of(START + np.arange(10)))
    position = next(iter(arraystore.replay([trades], batch_rows=4))).position
    assert position.rows == 4
    assert times_of(arraystore.replay([trades], position=position)) == (START + np.arange(4, 10)).tolist()
    pinned = trades.at(trades.version)
    trades.append(trades_of([START + 20]))
    for others in ({"streams": [trades]}, {"streams": [pinned], "end": START + 9}, {"streams": [pinned], "columns": ["price"]}):
        with pytest.raises(arraystore.InvalidInput, match=r"these are .*: open the streams at the versions they had"):
            arraystore.replay(**others, position=position)
    assert len(times_of(arraystore.replay([pinned], position=position))) == 6


def test_reading_must_be_allowed_for_every_stream(store):
    raw = arraystore.open_store("memory://replay-roles", role="data-recording", create=True)
    recorded = raw.raw.create(("venue", "feed", "recorder"), schema_by_name("raw_messages"))
    recorded._place = type(recorded._place)(
        *(getattr(recorded._place, name) for name in ("storage", "storage_class", "key")), arraystore.Role.LIVE
    )
    with pytest.raises(arraystore.AccessDenied, match="role live may not read raw"):
        arraystore.replay([made(store, "trades", trades_of([START])), recorded])


def test_memory_does_not_grow_with_the_range(store, monkeypatch):
    for module in (blocks, merging):
        monkeypatch.setattr(module, "ROUND_BYTES", 1 << 20)
    streams = []
    for name in ("A", "B"):
        dataset = store.canonical.create(("venue", "drawn", name), schema_of("arrival"))
        for day in range(6):
            times = START + 1_000 + day * 86_400 * SECOND + np.arange(100_000) * 1000
            numbers = np.arange(100_000)
            dataset.append({"time": times, "exchange_time": times, "number": numbers, "flag": numbers % 2, "text": [""] * 100_000})
        streams.append(dataset)

    def peak(days):
        tracemalloc.start()
        count = sum(len(batch) for batch in arraystore.replay(streams, None, START + 1_000 + days * 86_400 * SECOND, prefetch=1))
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count == days * 200_000
        return found

    peak(6)  # indexes are kept for the next time
    assert peak(6) < peak(2) * 1.3
    assert peak(6) < 16 << 20  # of 34 MiB


def test_an_iteration_that_is_left_early_leaves_nothing_at_work(store):
    trades = made(store, "trades", trades_of(START + np.arange(1000)))
    for _ in range(3):
        for batch in arraystore.replay([trades], batch_rows=10):
            assert len(batch) == 10
            break
    assert len(times_of(arraystore.replay([trades], batch_rows=10))) == 1000


def test_an_error_on_the_way_reaches_who_iterates(store, monkeypatch):
    trades = made(store, "trades", trades_of(START + np.arange(10)))

    def fail(*_):
        raise arraystore.Corrupt("a flipped bit")

    monkeypatch.setattr(blocks, "read_block", fail)
    for prefetch in (0, 2):
        with pytest.raises(arraystore.Corrupt, match="a flipped bit"):
            list(arraystore.replay([trades], prefetch=prefetch))


@pytest.mark.parametrize("clock", [None, "exchange_time"])
def test_recorded_market_data_come_in_the_order_of_one_stable_sort(july, clock):
    keys = [key for key in sorted(july.canonical.find()) if key[1] in ("trades", "quotes", "book_updates")]
    streams = [july.canonical[key] for key in keys]
    assert len(streams) == 3
    replay = arraystore.replay(streams, clock=clock, ties="capture_sequence", columns=["capture_sequence", "flags"], batch_rows=50_000)
    frames = [each.read(columns=[clock or "time", "capture_sequence"]) for each in streams]
    times = np.concatenate([frame[clock or "time"] for frame in frames]).view(np.int64)
    sequences = np.concatenate([frame["capture_sequence"] for frame in frames])
    ranks = np.repeat(np.arange(3), [frame.row_count for frame in frames])
    order = np.lexsort((ranks, sequences, times))
    if clock:
        assert any((np.diff(frame[clock].view(np.int64)) < 0).any() for frame in frames)  # it steps back in what was recorded
    batches = list(replay)
    assert np.array_equal(np.concatenate([batch.time.view(np.int64) for batch in batches]), times[order])
    assert np.array_equal(np.concatenate([batch.stream for batch in batches]), ranks[order])
    assert np.array_equal(np.concatenate([batch.gather("capture_sequence") for batch in batches]), sequences[order])
    again = arraystore.replay(streams, clock=clock, ties="capture_sequence", columns=["capture_sequence", "flags"], prefetch=0)
    assert again.digest() == batches[-1].position.digest
    rest = list(
        arraystore.replay(
            streams, clock=clock, ties="capture_sequence", columns=["capture_sequence", "flags"], position=batches[3].position
        )
    )
    assert rest[-1].position == batches[-1].position
    assert sum(map(len, rest)) == len(order) - batches[3].position.rows


@pytest.mark.parametrize("order", ["arrival", "time"])
def test_compaction_changes_nothing_of_the_sequence(order):
    url = f"memory://{uuid.uuid4().hex}"
    quality = arraystore.open_store(url, role="data-quality", create=True)
    for name in ("A", "B"):
        dataset = quality.canonical.create(("venue", "drawn", name), schema_of(order))
        for seed in range(6):
            random = np.random.default_rng(seed)
            times = np.sort(START + random.integers(0, 90, 50))
            exchange = START + random.integers(0, 30, 50)
            numbers = np.arange(50) + 100 * seed
            dataset.append({"time": times, "exchange_time": exchange, "number": numbers, "flag": numbers % 2, "text": [""] * 50})

    def positions():
        store = arraystore.open_store(url, role="operations")
        streams = [store.canonical["venue", "drawn", name] for name in ("A", "B")]
        for clock in ("time", "exchange_time"):
            *_, last = arraystore.replay(streams, clock=clock)
            yield last.position.rows, last.position.times, last.position.order, last.gather("number").tolist()

    before = list(positions())
    for name in ("A", "B"):
        assert arraystore.open_store(url, role="operations").canonical["venue", "drawn", name].compact()
    assert list(positions()) == before
    assert [rows for rows, *_ in before] == [600, 600]


def test_chunks_without_the_instruments_asked_for_are_passed_over(store, monkeypatch):
    for module in (blocks, merging):
        monkeypatch.setattr(module, "ROUND_BYTES", 200)
    monkeypatch.setattr(blocks, "LEAST_BLOCK_BYTES", 1)
    random = np.random.default_rng(3)
    names = np.repeat(random.permutation(40), 5)  # few instruments in each chunk
    labels = arraystore.Labels.from_values([f"I{name}" for name in names.tolist()])
    times = START + np.sort(random.integers(0, 50, len(names)))
    dataset = store.canonical.create(("venue", "trades", "_all"), schema_by_name("trades", all_instruments=True))
    with small_chunks(64, 64, 4_000), tails(up_to=0):
        dataset.append(trades_of(times, instrument=labels))
    loaded = []
    whole = blocks.read_block
    monkeypatch.setattr(blocks, "read_block", lambda block, threads: loaded.append(block) or whole(block, threads))
    for wanted in (["I3"], ["I3", "I17", "nobody"], ["nobody"]):
        loaded.clear()
        found = list(arraystore.replay([ReplayStream(dataset, instruments=wanted)]))
        frame = dataset.read(instruments=wanted)
        assert [price for batch in found for price in batch.gather("price")] == frame["price"].tolist()
        assert len(loaded) <= 4 * frame.row_count // 5  # of 25
