"""Hypothesis strategies for schemas and rows of every kind of column, and how to compare rows byte by byte."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import numpy as np
from hypothesis import strategies as st

from arraystore.frames.rows import Rows, array_names, empty, stand_ins
from layouts import chunking
from layouts.schema import Clock, Column, Kind, Order, Schema

NUMBER_DTYPES = ("float64", "float32", "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
LABELS = ("BTCUSDT", "ETH/USDT", "", "é", "日経", "a b")
CHARACTERS = "a0 \n\0é日𝄞"  # of one to four bytes
START = 1_704_067_200_000_000_000  # 2024-01-01


@st.composite
def columns(draw: st.DrawFn, name: str, levels: int = 3) -> Column:
    """One column of any kind; numbers may have that many levels, which all columns of a schema share."""
    kind = draw(st.sampled_from(sorted(Kind)))
    nullable = draw(st.booleans())
    match kind:
        case Kind.NUMBER:
            dtype = draw(st.sampled_from(NUMBER_DTYPES))
            return Column(name=name, dtype=dtype, levels=draw(st.sampled_from((None, levels))), nullable=nullable)
        case Kind.TIME:
            clock = draw(st.sampled_from((None, Clock.EXCHANGE, Clock.PUBLISH, Clock.OTHER)))
            return Column(name=name, kind=kind, clock=clock, nullable=nullable)
        case Kind.VOCABULARY:
            return Column(name=name, kind=kind, vocabulary=(("buy", 1), ("sell", -1), ("none", 0)), nullable=nullable)
        case Kind.FLAGS:
            return Column(name=name, kind=kind, vocabulary=(("last", 128), ("snapshot", 32)), nullable=nullable)
        case Kind.DECIMAL:
            return Column(name=name, kind=kind, places=draw(st.integers(0, 18)), nullable=nullable)
        case _:
            return Column(name=name, kind=kind, nullable=nullable)


@st.composite
def schemas(draw: st.DrawFn, most_columns: int = 5) -> Schema:
    """An axis and some more columns."""
    levels = draw(st.sampled_from((1, 3)))
    drawn = [draw(columns(f"c{number}", levels)) for number in range(draw(st.integers(0, most_columns)))]
    axis = Column(name="time", kind=Kind.TIME, clock=Clock.AXIS)
    return Schema(name="drawn", axis="time", order=draw(st.sampled_from(sorted(Order))), columns=(axis, *drawn))


@st.composite
def rows_of(draw: st.DrawFn, schema: Schema, *, least: int = 0, most: int = 400) -> Rows:
    """Rows of a schema: times that repeat and nearly overlap, the extremes of every dtype, NaN payloads, nulls, empty texts."""
    count = draw(st.integers(least, most))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if not count:
        return empty(schema)
    times = START + np.cumsum(random.integers(0, draw(st.sampled_from((2, 50))), count)) + draw(st.integers(0, 100))
    if schema.order is Order.ARRIVAL and draw(st.booleans()):
        times += random.integers(-20, 20, count)
    arrays: dict[str, np.ndarray] = {schema.axis: times}
    labels: dict[str, tuple[str, ...]] = {}
    for column in schema.columns:
        share = draw(st.sampled_from((0.0, 0.3, 1.0))) if column.nullable else 0.0
        if column.name != schema.axis and share < 1:
            arrays |= _column_arrays(column, count, random)
            if column.kind is Kind.DICTIONARY:
                labels[column.name] = LABELS[: draw(st.integers(1, len(LABELS)))]
                arrays[column.name] %= np.int32(len(labels[column.name]))
            if share:
                _nullify(arrays, column, random.random(count) < share)
    return Rows(schema=schema, count=count, arrays=arrays, labels=labels)


def _column_arrays(column: Column, count: int, random: np.random.Generator) -> dict[str, np.ndarray]:
    if column.is_ragged:
        if column.kind is Kind.TEXT:
            return _text_arrays(column, count, random)
        counts = (random.integers(0, 20, count) * random.integers(0, 2, count)).astype(np.uint32)
        return {column.name: random.integers(0, 256, int(counts.sum())).astype(np.uint8), f"{column.name}_count": counts}
    shape = (count,) if column.levels is None else (count, column.levels)
    dtype = np.dtype(column.dtype)
    match column.kind:
        case Kind.TIME:
            times = START + random.integers(-60, 600, shape)
            return {column.name: np.where(random.random(shape) < 0.1, _extremes(dtype)[1:].take(random.integers(0, 3, shape)), times)}
        case Kind.VOCABULARY | Kind.FLAGS:
            return {column.name: random.choice([value for _, value in column.vocabulary], shape).astype(dtype)}
        case Kind.DICTIONARY:
            return {column.name: random.integers(0, len(LABELS), shape).astype(dtype)}
    if dtype.kind == "b":
        return {column.name: random.integers(0, 2, shape).astype(dtype)}
    bits = random.integers(0, 256, (*shape, dtype.itemsize), dtype=np.uint8).view(dtype)[..., 0]  # NaN payloads among them
    return {column.name: np.where(random.random(shape) < 0.5, bits, random.choice(_extremes(dtype), shape)).astype(dtype)}


def _text_arrays(column: Column, count: int, random: np.random.Generator) -> dict[str, np.ndarray]:
    texts = ["".join(random.choice(list(CHARACTERS), length)).encode() for length in random.integers(0, 8, count)]
    counts = np.array([len(text) for text in texts], np.uint32)
    return {column.name: np.frombuffer(b"".join(texts), np.uint8), f"{column.name}_count": counts}


def _extremes(dtype: np.dtype) -> np.ndarray:
    if dtype.kind == "f":
        return np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 0.1, 5e-324], dtype)
    limits = np.iinfo(dtype)
    return np.array([limits.min, limits.max, 0, 1], dtype)


def _nullify(arrays: dict[str, np.ndarray], column: Column, null: np.ndarray) -> None:
    name = column.name
    if column.is_ragged:
        kept = np.repeat(~null, arrays[f"{name}_count"])
        arrays[name] = arrays[name][kept]
        arrays[f"{name}_count"] = np.where(null, 0, arrays[f"{name}_count"]).astype(np.uint32)
    else:
        arrays[name][null] = column.null_stand_in
    arrays[f"{name}_valid"] = ~null


@contextmanager
def small_chunks(chunk_bytes: int, payload_chunk_bytes: int, shard_bytes: int) -> Iterator[None]:
    """Budgets so small that few rows make many chunks and several shards."""
    with mock.patch.multiple(chunking, CHUNK_BYTES=chunk_bytes, PAYLOAD_CHUNK_BYTES=payload_chunk_bytes, SHARD_BYTES=shard_bytes):
        yield


def differences(found: Rows, wanted: Rows) -> list[str]:
    """How two sets of rows differ, in schema or in any byte, whichever way they hold nulls and labels; nothing if they don't."""
    if found.schema != wanted.schema or found.count != wanted.count:
        return [f"{found.count} rows of {found.schema} where {wanted.count} rows of {wanted.schema} belong"]
    problems = []
    for column in wanted.schema.columns:
        left, right = _plain(found, column), _plain(wanted, column)
        problems += [f"{name}: {left[name]} where {right[name]} belongs" for name in right if not _same_bytes(left[name], right[name])]
    return problems


def _plain(rows: Rows, column: Column) -> dict[str, np.ndarray]:
    """A column's arrays with nothing left out: stand-ins where it isn't there, its validity, labels instead of codes."""
    arrays = {name: rows.arrays[name] for name in array_names(column) if name in rows.arrays} or stand_ins(column, rows.count)
    valid = rows.validity(column.name)
    arrays[f"{column.name}_valid"] = np.ones(rows.count, np.bool_) if valid is None else valid
    if column.kind is Kind.DICTIONARY:
        arrays["labels"] = np.array([*rows.labels.get(column.name, ()), None], object)[arrays.pop(column.name)]
    return arrays


def _same_bytes(left: np.ndarray, right: np.ndarray) -> bool:
    if left.dtype.hasobject or right.dtype.hasobject:
        return bool(np.array_equal(left, right))
    return left.dtype == right.dtype and left.shape == right.shape and left.tobytes() == right.tobytes()
