"""Lines over time: spikes survive, columns that belong together share a panel, names are only names, and what can't be drawn is told."""

import numpy as np
import pytest

import arraystore
from arraystore.pictures import canvas
from arraystore.pictures.rows import asked
from arraystore.pictures.series import lines_of, panels_of
from tests.pictures.conftest import DAY, SECOND, START, lines, trades_at, words


def test_few_rows_are_drawn_as_they_are(trades):
    times = START + np.array([0, 3, 7], np.int64) * SECOND
    trades.append(trades_at(times, np.array([1.0, 3.0, 2.0])))
    shown_times, shown = lines(trades.plot.series())["line-price"]
    assert shown_times.tolist() == times.tolist()
    assert shown.tolist() == [1.0, 3.0, 2.0]


def test_many_rows_keep_their_extremes_and_their_place(trades):
    count = 50_000
    times = START + np.arange(count, dtype=np.int64) * SECOND
    price = 100 + np.sin(np.arange(count) / 500)
    price[31_337] = 900.0
    trades.append(trades_at(times, price))
    figure = trades.plot.series("price")
    shown_times, shown = lines(figure)["line-price"]
    assert len(shown) <= 4 * 2000
    assert (np.nanmax(shown), np.nanmin(shown)) == (900.0, price.min())
    assert abs(int(shown_times[np.nanargmax(shown)]) - int(times[31_337])) <= count * SECOND / 2000
    assert "50,000 rows" in words(figure)


def test_a_range_of_time_is_drawn_alone(trades):
    times = START + np.arange(100, dtype=np.int64) * SECOND
    trades.append(trades_at(times, np.arange(100.0)))
    shown = lines(trades.plot.series("price", times[10], times[20]))["line-price"]
    assert shown[1].tolist() == list(range(10, 20))
    with pytest.raises(arraystore.NotFound, match="no rows between 2024-08-09"):
        trades.plot.series("price", "2024-08-09")


def test_prices_share_a_panel_and_sizes_have_their_own(store):
    quotes = store.canonical.create(("venue", "quotes", "X"), arraystore.schema_by_name("quotes"))
    times = START + np.arange(50, dtype=np.int64) * SECOND
    bid = 100 + np.arange(50) / 10
    sizes = {"bid_size": np.full(50, 7.0), "ask_size": np.arange(50.0)}
    quotes.append({"time": times, "bid_price": bid, "ask_price": bid + 0.1, **sizes, "flags": np.zeros(50, np.uint8)})
    found = lines_of(asked(quotes), ["bid_price", "ask_price", "bid_size"])
    assert [[line.column for line in panel] for panel in panels_of(found)] == [["bid_price", "ask_price"], ["bid_size"]]
    assert set(lines(quotes.plot.series())) == {"line-bid_price", "line-ask_price"}


def test_nulls_and_what_is_not_finite_are_left_out_and_counted(store):
    quotes = store.canonical.create(("venue", "quotes", "X"), arraystore.schema_by_name("quotes"))
    times = START + np.arange(4, dtype=np.int64) * SECOND
    rows = {
        "bid_price": [1.0, None, float("inf"), 4.0],
        "bid_count": np.array([3, 0, 5, 6], np.uint32),
        "bid_count_valid": [True, False, True, True],
    }
    quotes.append({"time": times, **rows, "flags": np.zeros(4, np.uint8)})
    found = {line.column: line for line in lines_of(asked(quotes), ["bid_price", "bid_count"])}
    assert found["bid_price"].values.tolist() == [1.0, 4.0]
    assert found["bid_price"].skipped == 2
    assert found["bid_count"].values.tolist() == [3.0, 5.0, 6.0]
    assert "3 values that are null" in words(quotes.plot.series(["bid_price", "bid_count"]))


def test_decimals_are_drawn_as_the_numbers_they_stand_for(store):
    trades = store.canonical.create(("venue", "trades", "X"), arraystore.schema_by_name("trades", decimals=(2, 3)))
    trades.append(trades_at(START + np.arange(2, dtype=np.int64), np.array([1.25, 2.5])))
    assert lines(trades.plot.series("price"))["line-price"][1].tolist() == [1.25, 2.5]


def test_each_instrument_is_a_line(store):
    trades = store.canonical.create(("venue", "trades", "_all"), arraystore.schema_by_name("trades", all_instruments=True))
    times = START + np.arange(4, dtype=np.int64) * SECOND
    trades.append(trades_at(times, np.array([1.0, 100.0, 2.0, 200.0]), instrument=["A", "$B$", "A", "$B$"]))
    shown = lines(trades.plot.series("price", instruments=["A", "$B$"]))
    assert {name: values.tolist() for name, (_, values) in shown.items()} == {"line-A": [1.0, 2.0], "line-$B$": [100.0, 200.0]}
    with pytest.raises(arraystore.InvalidInput, match="many instruments"):
        trades.plot.series("price")


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ("side", "holds vocabulary values"),
        ("trade_id", "holds text values"),
        ("nonsense", "nonsense"),
        ([], "at least one"),
        ("time", "time values"),
    ],
)
def test_what_cannot_be_a_line_is_told(trades, columns, told):
    trades.append(trades_at(START + np.arange(2, dtype=np.int64), np.ones(2)))
    with pytest.raises((arraystore.InvalidInput, arraystore.NotFound), match=told):
        trades.plot.series(columns)


def test_an_empty_dataset_is_told(trades):
    with pytest.raises(arraystore.NotFound, match="has no rows"):
        trades.plot.series()


def test_a_series_of_a_run_is_drawn(store):
    backtesting = arraystore.open_store(store.url, role="backtesting")
    equity = {"time": START + np.arange(3, dtype=np.int64) * SECOND, "currency": ["USDT"] * 3, "num_trades": np.zeros(3, np.int64)}
    numbers = dict.fromkeys(("price", "position", "balance", "fee", "trading_volume", "trading_value"), np.zeros(3))
    with backtesting.experiments.run("grid", run_id="1") as run:
        run.write("equity", {**equity, **numbers, "equity": np.array([1.0, 2.0, 3.0])}, schema=arraystore.schema_by_name("equity"))
    shown = lines(backtesting.experiments["grid", "1"].plot.series("equity", window="equity"))
    assert shown["line-equity"][1].tolist() == [1.0, 2.0, 3.0]


def test_names_are_names_and_no_formulas(store):
    schema = arraystore.Schema(
        name="odd",
        columns=(arraystore.Column(name="time", kind="time", clock="axis"), arraystore.Column(name="value", unit="$x^2$ <b>&")),
        axis="time",
        order="time",
        window="day",
    )
    odd = store.canonical.create(("venue", "odd", "$\\frac{</text><script>"), schema)
    odd.append({"time": [START, START + SECOND], "value": [1.0, 2.0]})
    shown = canvas.encode(odd.plot.series(title="$\\frac{</text><script>alert(1)</script>\n$"), "svg").decode()
    assert "$\\frac{&lt;/text&gt;&lt;script&gt;alert(1)&lt;/script&gt;\\x0a$" in shown
    assert "value ($x^2$ &lt;b&gt;&amp;)" in shown
    assert "<script" not in shown


def test_access_is_checked_before_anything_is_read(store):
    held = arraystore.open_store(store.url, role="data-recording")
    raw = held.raw.create(("venue", "feed", "rec"), arraystore.schema_by_name("raw_messages"))
    assert raw is not None
    with pytest.raises(arraystore.AccessDenied):
        arraystore.open_store(store.url, role="backtesting").raw["venue/feed/rec"].plot.series()


def test_real_quotes_have_their_extremes_in_the_picture(shared_data, store):
    arraystore.ingest(store, [shared_data / "oanda-xauusd" / "20140509_quote.zip"], mapping="oanda-xauusd")
    quotes = store.canonical["oanda/quotes/XAUUSD"]
    frame = quotes.read(columns=["bid_price", "ask_price"])
    shown = lines(quotes.plot.series())
    for name in ("bid_price", "ask_price"):
        values = shown[f"line-{name}"][1]
        assert (np.nanmin(values), np.nanmax(values)) == (frame[name].min(), frame[name].max())
    assert shown["line-bid_price"][0][-1] - shown["line-bid_price"][0][0] < DAY
