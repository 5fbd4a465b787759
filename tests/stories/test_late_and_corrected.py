"""A vendor's file is late, and a day turns out wrong: what was read stays readable, and everybody can find out what it means for them."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

import arraystore

XAUUSD = ("oanda", "quotes", "XAUUSD")
FIRST, SECOND = "2014-05-02", "2014-05-06"


def vendor_files(folder: Path, whole: Path, parts: int) -> list[Path]:
    """Every tenth quote of a vendor's day, in so many files one after the other."""
    with zipfile.ZipFile(whole) as archive:
        (name,) = archive.namelist()
        lines = archive.read(name).splitlines(keepends=True)[::10]
    files = [folder / f"{whole.stem}_{part}.zip" for part in range(1, parts + 1)]
    for file, chosen in zip(files, np.array_split(np.array(lines), parts), strict=True):
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, b"".join(chosen.tolist()))
    return files


def test_a_late_file_and_a_corrected_day(root: Path, tmp_path: Path, shared_data: Path) -> None:
    vendor = shared_data / "oanda-xauusd"
    morning, afternoon = vendor_files(tmp_path, vendor / "20140502_quote.zip", 2)
    (whole_day,) = vendor_files(tmp_path, vendor / "20140506_quote.zip", 1)
    quality = arraystore.open_store(root, role="data-quality")

    # Two days come in; of the first only the morning, which nobody notices. The days are closed.
    arraystore.ingest(quality, [morning, whole_day], mapping="oanda-xauusd", completeness="complete")

    # A backtest reads both days, analysis makes bars of the first.
    backtesting, analysis = (arraystore.open_store(root, role=role) for role in ("backtesting", "analysis"))
    with backtesting.experiments.run("carry", "monday") as run:
        before = [run.read(backtesting.canonical[XAUUSD], window=day) for day in (FIRST, SECOND)]
        run.log(rows=sum(frame.row_count for frame in before))
    source = analysis.canonical[XAUUSD].read(window=FIRST)
    hourly = analysis.derived.create(("mid", "last", *XAUUSD[::2]), arraystore.schema_by_name("bars", interval="1h"))
    hourly.append(bars(source), inputs=source.pin)

    # The afternoon arrives. The day is closed, so whoever loads it must say that they know.
    with pytest.raises(arraystore.WindowClosed, match=rf"{afternoon.name}.*{FIRST} is complete"):
        arraystore.ingest(quality, afternoon, mapping="oanda-xauusd")
    arraystore.ingest(quality, afternoon, mapping="oanda-xauusd", reopen=True, completeness="complete")
    quotes = quality.canonical[XAUUSD]
    late = quotes.pin(window=FIRST)
    assert quality.read(late).row_count > before[0].row_count

    # Then the vendor says that of the second day a minute was wrong. The day is replaced.
    frame = quotes.read(window=SECOND)
    wrong = (frame["time"] >= np.datetime64("2014-05-06T10:00")) & (frame["time"] < np.datetime64("2014-05-06T10:01"))
    assert wrong.any()
    quotes.replace(SECOND, frame.take(np.flatnonzero(~wrong)), reason="vendor: 10:00 was a test feed")

    # Pins read the bytes that they named, whatever came later.
    for frame in before:
        again = backtesting.read(frame.pin)
        assert all(np.array_equal(again[name], frame[name], equal_nan=frame[name].dtype.kind == "f") for name in ("time", "bid_price"))
    now = backtesting.canonical[XAUUSD]
    assert now.read(window=FIRST).row_count == backtesting.read(late).row_count
    assert now.read(window=SECOND).row_count == before[1].row_count - np.count_nonzero(wrong)

    # What changed since the backtest: both days, and how many rows each has lost or gained.
    changed = backtesting.diff(run.inputs[0], now.pin(window=FIRST))
    assert [(each.window, each.change, each.rows) for each in changed.windows] == [
        (FIRST, "changed", (before[0].row_count, backtesting.read(late).row_count))
    ]
    both = now.diff(before[0].pin.version, now.version)
    assert [(each.window, each.change) for each in both.windows] == [(FIRST, "changed"), (SECOND, "changed")]
    assert now.versions()[-1].reason == "vendor: 10:00 was a test feed"

    # Who read it, and what of that is stale.
    run_key, bars_key = ("carry", "monday"), ("mid", "last", *XAUUSD[::2])
    assert {each.key for each in quality.dependents(quotes)} == {run_key, bars_key}
    assert [each.key for each in quality.dependents(quotes, window=SECOND)] == [run_key]
    stale = {(each.dependent.key, each.window) for each in quality.impact(quotes)}
    assert stale == {(run_key, FIRST), (run_key, SECOND), (bars_key, FIRST)}

    # The bars are made again from what there is now; then only the run is stale, which is a record of what was done.
    source = analysis.canonical[XAUUSD].read(window=FIRST)
    hourly.replace("2014", bars(source), reason="the afternoon was missing", inputs=source.pin, completeness="open")
    assert hourly.rows == 21
    assert {each.dependent.key for each in analysis.impact(analysis.canonical[XAUUSD], only_standing=True)} == {run_key}
    assert analysis.lineage(hourly.pin()).made_from[0].pin == source.pin


def bars(frame: arraystore.Frame) -> dict[str, object]:
    """Bars of the middle between bid and ask, an hour each."""
    hours = frame["time"].astype("datetime64[h]")
    middle = (frame["bid_price"] + frame["ask_price"]) / 2
    opens, starts = np.unique(hours, return_index=True)
    stops = np.append(starts[1:], len(hours))
    return {
        "open_time": opens.astype("datetime64[ns]"),
        "close_time": (opens + np.timedelta64(1, "h")).astype("datetime64[ns]"),
        "open": middle[starts],
        "high": np.maximum.reduceat(middle, starts),
        "low": np.minimum.reduceat(middle, starts),
        "close": middle[stops - 1],
        "volume": np.zeros(len(opens)),
        "is_revision": np.zeros(len(opens), bool),
    }
