"""Every public call, with every kind of nonsense that users may pass it."""

import io
import math
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

import arraystore
from arraystore import Column, Kind, Pin, Schema
from tests.attack.conftest import tree
from tests.store.conftest import START, rows

KEY = ("venue", "trades", "X")
TRADES = arraystore.schema_by_name("trades")
TIMED = arraystore.SCHEMAS["trades"](clock="exchange")
PLAIN = Schema(name="plain", columns=(Column(name="time", kind=Kind.TIME), Column(name="value")))
FILL = {
    "time": [START],
    "account": ["a"],
    "strategy": ["s"],
    "instrument": ["X"],
    "fill_id": ["1"],
    "side": [1],
    "price": [1.0],
    "size": [1.0],
}


class Opaque:
    """An object that nothing can be made of."""

    def __repr__(self) -> str:
        return "<opaque>"


def deep(levels: int) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for _ in range(levels):
        nested = {"deeper": nested}
    return nested


def cyclic() -> dict[str, Any]:
    nested: dict[str, Any] = {}
    nested["itself"] = nested
    return nested


def closed() -> io.BytesIO:
    stream = io.BytesIO(b"x")
    stream.close()
    return stream


NOT_JSON: dict[str, Any] = {
    "object": Opaque(),
    "nan": math.nan,
    "infinity": -math.inf,
    "numpy nan": np.float64("nan"),
    "array": np.arange(3),
    "bytes": b"bytes",
    "set": {1},
    "complex": 1j,
    "time": np.datetime64("2024-08-08"),
    "huge": 10**40,
    "surrogate": "\ud800",
    "surrogate key": {"\ud800": 1},
    "number key": {5: 1},
    "deep": deep(40),
    "deeper than the stack": deep(100_000),
    "cyclic": cyclic(),
    "nested": [{"a": [Opaque()]}],
    "longdouble": np.longdouble(1) / 3,
}
NOT_TEXT: dict[str, Any] = {"number": 5, "bytes": b"bytes", "list": ["a"], "surrogate": "\ud800", "object": Opaque()}
NOT_PINS: dict[str, Any] = {
    "number": 5,
    "text": "pin",
    "list of text": ["pin"],
    "mapping": {"version": 1},
    "wrong version": Pin(storage_class="canonical", key=KEY, dataset="x", version="1", digest="y"),  # type: ignore[arg-type]
    "negative": Pin(storage_class="canonical", key=KEY, dataset="x", version=-1, digest="y"),
    "wrong class": Pin(storage_class="cellar", key=KEY, dataset="x", version=1, digest="y"),
    "wrong key": Pin(storage_class="canonical", key=("..", "..", ".."), dataset="x", version=1, digest="y"),
    "short key": Pin(storage_class="canonical", key=(), dataset="x", version=1, digest="y"),
    "not there": Pin(storage_class="canonical", key=KEY, dataset="x", version=99, digest="y"),
    "another digest": Pin(storage_class="canonical", key=KEY, dataset="x", version=1, digest="y"),
    "forbidden": Pin(storage_class="execution-records", key=("live", "s", "fills"), dataset="x", version=1, digest="y"),
}


def bad(column: str, value: Any) -> dict[str, Any]:
    return rows(3) | {column: value}


BAD_DATA: dict[str, Any] = {
    "unknown column": rows(3) | {"pricee": np.zeros(3)},
    "missing column": {"time": START + np.arange(3)},
    "number": 5,
    "text": "rows",
    "bytes": b"rows",
    "list": [1, 2, 3],
    "object": Opaque(),
    "plain array": np.zeros((3, 3)),
    "wrong dtype": bad("price", np.array(["a", "b", "c"])),
    "complex": bad("price", np.zeros(3, complex)),
    "structured": bad("price", np.zeros(3, [("a", "f8")])),
    "objects": bad("price", np.array([Opaque()] * 3)),
    "mixed objects": bad("price", np.array([1.0, "two", None], object)),
    "lossy": bad("flags", np.array([0, 300, 0])),
    "fraction": bad("side", np.array([0.5, 1, 1])),
    "too short": bad("price", np.zeros(2)),
    "too long": bad("price", np.zeros(4)),
    "empty beside full": bad("price", np.zeros(0)),
    "scalar": bad("price", 5.0),
    "zero-dimensional": bad("price", np.array(5.0)),
    "two-dimensional": bad("price", np.zeros((3, 2))),
    "many dimensions": bad("price", np.zeros((3, 1, 1, 1))),
    "ragged lists": bad("price", [[1], [1, 2], []]),
    "null in a column without": bad("price", [1.0, None, 2.0]),
    "masked": bad("price", np.ma.masked_array([1.0, 2, 3], [0, 1, 0])),
    "not in the vocabulary": bad("side", np.array([1, 2, 3])),
    "unknown meaning": bad("side", ["buy", "hold", "sell"]),
    "unknown flag": bad("flags", np.array([0, 1, 0], np.uint8)),
    "times out of range": bad("time", np.array([START, START, 2**63 - 1])),
    "times before 1678": bad("time", np.array([-(2**63), START, START])),
    "NaT": bad("time", np.array(["2024-08-08", "NaT", "2024-08-09"], "datetime64[ns]")),
    "seconds in year 9999": bad("time", np.array(["9999-01-01"] * 3, "datetime64[s]")),
    "times as floats": bad("time", np.array([1.5, 2, 3])),
    "times as text": bad("time", ["2024-08-08", "yesterday", "2024-08-09"]),
    "text as numbers": bad("trade_id", np.arange(3)),
    "invalid UTF-8": bad("trade_id", [b"\xff", b"a", b"b"]),
    "lone surrogate": bad("trade_id", ["\ud800", "a", "b"]),
    "label surrogate": bad("condition", ["\ud800", "a", "b"]),
    "generator of nonsense": bad("price", (Opaque() for _ in range(3))),
    "wrong validity": rows(3) | {"trade_id": ["a"] * 3, "trade_id_valid": [1.5, 2, 3]},
    "short validity": rows(3) | {"trade_id": ["a"] * 3, "trade_id_valid": [True]},
    "validity of nothing": rows(3) | {"trade_id_valid": [True] * 3},
    "number as name": rows(3) | {5: np.zeros(3)},
}
BAD_COVERAGE: dict[str, Any] = {
    "number": 5,
    "text": "2024-08-08",
    "empty": (START, START),
    "backwards": ("2024-08-09", "2024-08-08"),
    "three": [(START, START + 1, START + 2)],
    "not times": [("a", "b")],
    "floats": [(1.5, 2.5)],
    "none": [None],
    "beyond": (START, 2**63 - 1),
    "before": ("1677-10-01", START),
    "object": Opaque(),
}
FILES: dict[str, Any] = {
    "missing": "/nowhere/at/all",
    "directory": "/",
    "device": "/dev/null",
    "NUL": "a\0b",
    "number": 5,
    "nothing": None,
    "list": [b"a"],
    "text stream": io.StringIO("text"),
    "closed": closed(),
    "object": Opaque(),
}

DAY_NAME = "2024-08-08"

type Call = Callable[["Everything"], object]


class Everything:
    """A store with something of every kind in it, as everybody sees it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        arraystore.init_store(root)
        self.quality, self.backtesting, self.live = (arraystore.open_store(root, role=r) for r in ("data-quality", "backtesting", "live"))
        self.trades = self.quality.canonical.create(KEY, TRADES)
        self.trades.append(rows(20_000, step=4 * 10**9))
        self.trades.append(rows(3, first=30_000))
        self.timed = self.quality.canonical.create(("venue", "timed", "X"), TIMED)
        self.quality.quarantine.hold(KEY, rows(3), schema=TRADES, reason="r", failed_checks=(), source="s")
        self.run = self.backtesting.experiments.run("experiment", "run")
        self.run.write("plain", {"time": [START], "value": [1.0]}, PLAIN)
        self.session = self.live.execution_records.session("live", "s")
        self.session.append("fills", FILL)
        _hours(self)
        self.fifo = root.parent / "fifo"
        os.mkfifo(self.fifo)
        self.tree = tree(root.parent)
        self.version = self.trades.version

    def fresh_session(self) -> arraystore.Session:
        return self.live.execution_records.session("live", "another")


def data_cases() -> Iterator[tuple[str, Call]]:
    """What rows can't be."""
    for name, data in BAD_DATA.items():
        yield f"append {name}", lambda s, data=data: s.trades.append(data)
        yield f"replace {name}", lambda s, data=data: s.trades.replace(DAY_NAME, data, reason="r")
    yield "append unsorted", lambda s: s.timed.append(rows(3) | {"time": START + np.array([1, 0, 2])})
    yield (
        "hold nonsense",
        lambda s: s.quality.quarantine.hold(("a", "b", "c"), {"x": [1]}, schema=TRADES, reason="r", failed_checks=(), source="s"),
    )
    yield "hold nothing", lambda s: s.quality.quarantine.hold(("a", "b", "c"), {}, schema=TRADES, reason="r", failed_checks=(), source="s")
    yield "record nonsense", lambda s: s.fresh_session().append("fills", {"time": [1]})
    yield "record with sequence", lambda s: s.fresh_session().append("fills", FILL | {"sequence": [1]})
    yield "record of no schema", lambda s: s.fresh_session().append("unheard_of", FILL)
    yield "record without sequence", lambda s: s.fresh_session().append("plain", FILL, schema=PLAIN)
    yield "record with another schema", lambda s: s.session.append("fills", FILL, schema=arraystore.schema_by_name("order_events"))
    yield "series nonsense", lambda s: s.run.write("plain", {"value": [1.0]})
    yield "series of another schema", lambda s: s.run.write("plain", rows(1), TRADES)
    yield "series of no schema", lambda s: s.run.write("unheard_of", {"time": [START], "value": [1.0]})
    yield "metrics as series", lambda s: s.run.write("metrics", {})
    yield "series without a name", lambda s: s.run.dataset.append({"time": [START], "value": [1.0]}, schema=PLAIN)
    yield "window of a dataset", lambda s: s.trades.append(rows(1), window=DAY_NAME)
    yield "schema of a dataset", lambda s: s.trades.append(rows(1), schema=TRADES)


def json_cases() -> Iterator[tuple[str, Call]]:
    """What attributes and parameters can't be."""
    for name, value in NOT_JSON.items():
        yield f"window attribute {name}", lambda s, v=value: s.trades.append(rows(20_000), window_attributes={"a": v})
        yield f"attribute {name}", lambda s, v=value: s.trades.update(attributes={"a": v})
        yield f"first attribute {name}", lambda s, v=value: s.quality.canonical.create(("a", "b", "c"), TRADES, attributes={"a": v})
        yield f"replace attribute {name}", lambda s, v=value: s.trades.replace(DAY_NAME, rows(1), reason="r", window_attributes={"a": v})
        yield f"params {name}", lambda s, v=value: s.backtesting.experiments.run("e", "r", params={"a": v})
        yield f"definition {name}", lambda s, v=value: s.backtesting.experiments.run("e", "r", definition={"a": v})
    for name, value in {"number": 5, "text": "a", "list": [("a", 1)], "object": Opaque(), "name": {5: 1}}.items():
        yield f"attributes {name}", lambda s, v=value: s.trades.update(attributes=v)
        yield f"window attributes {name}", lambda s, v=value: s.trades.append(rows(1), window_attributes=v)
        yield f"all params {name}", lambda s, v=value: s.backtesting.experiments.run("e", "r", params=v)
    yield "too many attributes", lambda s: s.trades.update(attributes={"a": "x" * (65 << 20)})


def text_cases() -> Iterator[tuple[str, Call]]:
    """What words can't be."""
    for name, value in NOT_TEXT.items():
        yield f"reason {name}", lambda s, v=value: s.trades.append(rows(1), reason=v)
        yield f"replace reason {name}", lambda s, v=value: s.trades.replace(DAY_NAME, rows(1), reason=v)
        yield f"update reason {name}", lambda s, v=value: s.trades.update(attributes={"a": 1}, reason=v)
        yield f"media type {name}", lambda s, v=value: s.trades.add_file(b"x", "x", media_type=v)
        yield (
            f"case reason {name}",
            lambda s, v=value: s.quality.quarantine.hold(("a", "b", "c"), rows(1), schema=TRADES, reason=v, failed_checks=(), source="s"),
        )
        yield (
            f"case source {name}",
            lambda s, v=value: s.quality.quarantine.hold(("a", "b", "c"), rows(1), schema=TRADES, reason="r", failed_checks=(), source=v),
        )
        yield (
            f"checks {name}",
            lambda s, v=value: s.quality.quarantine.hold(
                ("a", "b", "c"), rows(1), schema=TRADES, reason="r", failed_checks=[v], source="s"
            ),
        )
        yield f"note {name}", lambda s, v=value: s.quality.quarantine.reject(KEY, DAY_NAME, note=v)
        yield f"series {name}", lambda s, v=value: s.run.write(v, {"time": [START], "value": [1.0]}, PLAIN)
        yield f"record {name}", lambda s, v=value: s.fresh_session().append(v, FILL, arraystore.schema_by_name("fills"))
        yield f"since {name}", lambda s, v=value: s.quality.canonical.changes(v)
        yield f"pin column {name}", lambda s, v=value: s.trades.pin(columns=[v])
        yield f"column {name}", lambda s, v=value: s.trades.read(columns=[v])
        yield f"clock {name}", lambda s, v=value: s.trades.read(clock=v)
        yield f"class {name}", lambda s, v=value: s.quality.surface(v)
        yield f"role {name}", lambda s, v=value: arraystore.open_store(s.root, role=v)
        yield f"pattern {name}", lambda s, v=value: s.quality.canonical.find(v)
    yield "no reason", lambda s: s.trades.replace(DAY_NAME, rows(1), reason="")
    yield (
        "checks as text",
        lambda s: s.quality.quarantine.hold(("a", "b", "c"), rows(1), schema=TRADES, reason="r", failed_checks="abc", source="s"),
    )
    yield (
        "checks as number",
        lambda s: s.quality.quarantine.hold(("a", "b", "c"), rows(1), schema=TRADES, reason="r", failed_checks=5, source="s"),
    )
    yield "released into nothing", lambda s: s.quality.quarantine.release(KEY, DAY_NAME, into=())
    yield "no such case", lambda s: s.quality.quarantine.reject(KEY, "2024-08-07", note="n")
    yield "no such state", lambda s: s.quality.quarantine.cases(state="open")


def pin_cases() -> Iterator[tuple[str, Call]]:
    """What pins can't be."""
    for name, value in NOT_PINS.items():
        yield f"inputs {name}", lambda s, v=value: s.trades.append(rows(20_000), inputs=[v])
        yield f"one input {name}", lambda s, v=value: s.trades.append(rows(20_000), inputs=v)
        yield f"file inputs {name}", lambda s, v=value: s.trades.add_file(b"x", "x", inputs=[v])
        yield f"read pin {name}", lambda s, v=value: s.quality.read(v)
        yield f"released into {name}", lambda s, v=value: s.quality.quarantine.release(KEY, DAY_NAME, into=[v])
    yield "pin used by a run", lambda s: s.run.uses("pin")
    yield "read by a run", lambda s: s.run.read("dataset")


def claim_cases() -> Iterator[tuple[str, Call]]:
    """What can't be claimed of windows and by writers."""
    for name, value in BAD_COVERAGE.items():
        yield f"coverage {name}", lambda s, v=value: s.trades.append(rows(1), coverage=v)
    yield "coverage of too much", lambda s: _hours(s).append(None, coverage=("1700", "2200"))
    for value in (5, "closed", ["open"], np.array(["open"]), "", "Complete"):
        yield f"completeness {value!r}", lambda s, v=value: s.trades.append(rows(1), completeness=v)
    yield "complete of nothing", lambda s: s.trades.append(None, completeness="complete")
    yield "attributes of no window", lambda s: s.trades.append(None, window_attributes={"a": 1})
    for value in (
        5,
        "w",
        ("w",),
        ("w", 1, 2),
        ("w", 1.5),
        ("w", "1"),
        ("w", -1),
        ("w", True),
        ("w", 2**63),
        ("", 1),
        (1, "w"),
        ("w" * 201, 1),
        ("\ud800", 1),
        (b"w", 1),
    ):
        yield f"token {value!r:.30}", lambda s, v=value: s.trades.append(rows(1), token=v)


def file_cases() -> Iterator[tuple[str, Call]]:
    """What files and metrics can't be."""
    for name, value in FILES.items():
        yield f"file {name}", lambda s, v=value: s.trades.add_file(v, "name")
    yield "file fifo", lambda s: s.trades.add_file(s.fifo)
    yield "file name number", lambda s: s.trades.add_file(b"x", 5)
    yield "no file name", lambda s: s.trades.add_file(b"x")
    yield "long file name", lambda s: s.trades.add_file(b"x", "x" * 1001)
    for name, value in {"text": "1", "none": None, "array": np.arange(2.0), "huge": 10**400, "object": Opaque(), "complex": 1j}.items():
        yield f"metric {name}", lambda s, v=value: s.run.log(good=1.0, wrong=v)


def schema_cases() -> Iterator[tuple[str, Call]]:
    """What schemas and keys can't be."""
    for name, value in {
        "schema": "trades",
        "nothing": None,
        "number": 5,
        "empty": Schema(name="e", columns=()),
        "no axis": Schema(name="n", columns=(Column(name="a"),)),
    }.items():
        yield f"create schema {name}", lambda s, v=value: s.quality.canonical.create(("a", "b", "c"), v)
        yield (
            f"hold schema {name}",
            lambda s, v=value: s.quality.quarantine.hold(("a", "b", "c"), rows(1), schema=v, reason="r", failed_checks=(), source="s"),
        )
        if value is not None:
            yield f"record schema {name}", lambda s, v=value: s.fresh_session().append("x", FILL, schema=v)
            yield f"series schema {name}", lambda s, v=value: s.run.write("x", {"time": [START], "value": [1.0]}, v)
    yield (
        "create schema of levels without end",
        lambda s: s.quality.canonical.create(
            ("a", "b", "c"), Schema(name="l", columns=(Column(name="time", kind=Kind.TIME), Column(name="x", levels=2**40, nullable=True)))
        ),
    )
    yield "create profile", lambda s: s.quality.canonical.create(("a", "b", "c"), TRADES, profile="zip")
    yield "create again", lambda s: s.quality.canonical.create(KEY, TRADES)
    yield "create as another", lambda s: s.quality.canonical.create(KEY, TIMED, exist_ok=True)
    for value in (5, None, (), ("a",), ("a", "b", "c", "d"), ("a", "b", 5), ["a", "b", None], b"a/b/c", "a/b", {"a": 1}, Opaque()):
        yield f"key {value!r:.30}", lambda s, v=value: s.quality.canonical.create(v, TRADES)
        yield f"open {value!r:.30}", lambda s, v=value: s.quality.canonical[v]


def time_cases() -> Iterator[tuple[str, Call]]:
    """What times, versions and numbers of threads can't be."""
    for value in (
        1.5,
        True,
        np.True_,
        "yesterday",
        b"2024",
        (1, 2),
        timedelta(1),
        np.timedelta64(1, "s"),
        np.datetime64("NaT", "ns"),
        10**30,
        Opaque(),
    ):
        yield f"start {value!r:.30}", lambda s, v=value: s.trades.read(v)
        yield f"end {value!r:.30}", lambda s, v=value: s.trades.read(None, v)
        yield f"pin {value!r:.30}", lambda s, v=value: s.trades.pin(v)
        yield f"at {value!r:.30}", lambda s, v=value: s.trades.at(v)
    for value in (0, -1, 99, 2**63, 2**64, np.int64(99), None, "1970", "2200"[:0]):
        yield f"at {value!r:.30}!", lambda s, v=value: s.trades.at(v)
    for value in (0, -1, 1.5, "2", True, [1]):
        yield f"threads {value!r}", lambda s, v=value: s.trades.read(threads=v)
    yield "backwards", lambda s: s.trades.read("2024-08-09", "2024-08-08")


def window_cases() -> Iterator[tuple[str, Call]]:
    """What windows, columns and places can't be."""
    for value in (5, "2024-08-07", "", "../2024-08-08", ["2024-08-08"], Opaque(), "nonsense", b"2024-08-08"):
        for call in ("manifest", "schema_of", "segments"):
            yield f"{call} {value!r}", lambda s, v=value, call=call: getattr(s.trades, call)(v)
        yield f"window {value!r}", lambda s, v=value: s.trades.read(window=v)
        yield f"replace window {value!r}", lambda s, v=value: s.trades.replace(v, rows(1), reason="r")
        yield f"update window {value!r}", lambda s, v=value: s.trades.update(window=v, window_attributes={"a": 1})
    yield "update attributes of no window", lambda s: s.trades.update(window_attributes={"a": 1})
    yield "complete no window", lambda s: s.trades.update(completeness="complete")
    for value in (5, Opaque(), "nope", b"price", ["price", "price", "nope"]):
        yield f"columns {value!r}", lambda s, v=value: s.trades.read(columns=v)
    for value in (5, b"/tmp", "", None, "a\0b", "http://a/b", Opaque(), "/nowhere/at/all"):
        yield f"url {value!r}", lambda s, v=value: arraystore.open_store(v, role="live")
    for value in (
        {"raw": "canonical"},
        {"raw": ""},
        {"raw": "../x"},
        {"raw": 5},
        "raw",
        {"raw": "canonical/sub"},
        {"raw": "."},
        {"nope": "x"},
        {"raw": "a/../b"},
        {"raw": "\0"},
        {"raw": "zarr.json"},
        [("raw", "x")],
    ):
        yield f"roots {value!r}", lambda s, v=value: arraystore.init_store(s.root.parent / "other", roots=v)
    yield "roots above the store", lambda s: arraystore.init_store(s.root.parent / "other", roots={"raw": str(s.root.parent)})


def _hours(everything: Everything) -> arraystore.Dataset:
    schema = Schema(name="hours", window="hour", columns=PLAIN.columns)
    return everything.quality.canonical.create(("venue", "hours", "X"), schema, exist_ok=True)


CASES: dict[str, Call] = dict(
    chain.from_iterable(
        each() for each in (data_cases, json_cases, text_cases, pin_cases, claim_cases, file_cases, schema_cases, time_cases, window_cases)
    )
)
