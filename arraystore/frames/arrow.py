"""The one door to pyarrow: columns and tables out over the same memory, and whatever Arrow streams in."""

# mypy: disable-error-code="import-untyped"

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from arraystore.errors import InvalidInput, Problem
from arraystore.frames.columns import Decimals, Labels, Ragged, value_of
from arraystore.frames.given import Given, all_null, missing_library, repeated_names
from arraystore.frames.rows import Rows, empty
from layouts.schema import Column, Kind, Schema

DECIMAL_DIGITS = 19  # those of the largest int64
STREAM_ROWS = 1 << 17  # of a batch: about what query engines share out among threads


def pyarrow() -> ModuleType:
    """The library, or the error that says how to get it."""
    try:
        import pyarrow as pa
    except ImportError as error:
        raise missing_library("Arrow", "pyarrow", "arrow") from error
    return pa  # type: ignore[no-any-return]


# Out


def from_ragged(values: Ragged) -> Any:
    """LargeString or LargeBinary over the same bytes and offsets."""
    pa = pyarrow()
    kind = pa.large_string() if values.text else pa.large_binary()
    return pa.Array.from_buffers(kind, len(values), [_bitmap(values.valid), _buffer(values.offsets), _buffer(values.data)])


def from_labels(values: Labels) -> Any:
    """A dictionary array over the same codes."""
    pa = pyarrow()
    codes = from_numbers(values.codes, values.valid)
    return pa.DictionaryArray.from_arrays(codes, pa.array(values.labels, pa.string()))


def from_decimals(values: Decimals) -> Any:
    """decimal128 with as many digits as an int64 may have."""
    pa = pyarrow()
    words = np.empty((len(values), 2), np.int64)
    words[:, 0] = values.mantissa
    words[:, 1] = values.mantissa >> 63
    kind = pa.decimal128(DECIMAL_DIGITS, values.places)
    return pa.Array.from_buffers(kind, len(values), [_bitmap(values.valid), _buffer(words)])


def from_numbers(values: np.ndarray, valid: np.ndarray | None) -> Any:
    """A primitive array over the same memory (bool is packed); of two dimensions, a fixed-size list per row."""
    pa = pyarrow()
    if values.ndim == 2:
        kind = pa.list_(pa.from_numpy_dtype(values.dtype), values.shape[1])
        inner = from_numbers(values.reshape(-1), None)
        return pa.Array.from_buffers(kind, len(values), [_bitmap(valid)], children=[inner])
    data = _bitmap(values) if values.dtype == np.bool_ else _buffer(values)
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [_bitmap(valid), data])


def from_column(rows: Rows, name: str) -> Any:
    """One column of rows as an Arrow array."""
    pa = pyarrow()
    column, value, valid = rows.schema.column(name), value_of(rows, name), rows.validity(name)
    match value:
        case Ragged():
            return from_ragged(value)
        case Labels():
            return from_labels(value)
        case Decimals():
            return from_decimals(value)
    if column.kind is Kind.TIME:
        return pa.Array.from_buffers(pa.timestamp("ns", "UTC"), rows.count, [_bitmap(valid), _buffer(value)])
    if column.kind is Kind.VOCABULARY:
        return from_labels(meanings_of(column, value, valid))
    return from_numbers(value, valid)


def meanings_of(column: Column, codes: np.ndarray, valid: np.ndarray | None) -> Labels:
    """Codes of a closed vocabulary as labels."""
    place_of = np.full(256, -1, np.int32)
    place_of[np.array([value for _, value in column.vocabulary]).astype(np.uint8)] = np.arange(len(column.vocabulary))
    places = place_of[codes.view(np.uint8)]
    if valid is not None:
        places[~valid] = -1
    return Labels(places, tuple(meaning for meaning, _ in column.vocabulary))


def table_from(rows: Rows) -> Any:
    """All columns as one Arrow table; numbers, times, text and bytes without copying."""
    pa = pyarrow()
    arrays = [from_column(rows, name) for name in rows.schema.names]
    fields = [pa.field(column.name, array.type, column.nullable) for column, array in zip(rows.schema.columns, arrays, strict=True)]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def arrow_schema(schema: Schema) -> Any:
    """The Arrow schema of every table of rows of a schema."""
    return table_from(empty(schema)).schema


def batches_from(rows: Rows) -> Any:
    """The same memory as `table_from`, in record batches of at most `STREAM_ROWS`."""
    return table_from(rows).to_batches(max_chunksize=STREAM_ROWS)


def reader_from(schema: Schema, stream: Iterable[Rows]) -> Any:
    """A `pyarrow.RecordBatchReader` of rows that come one after another, of which it holds no more than it is asked for."""
    return pyarrow().RecordBatchReader.from_batches(arrow_schema(schema), (batch for rows in stream for batch in batches_from(rows)))


def table_of(columns: Mapping[str, Sequence[Any]], times: Collection[str] = ()) -> Any:
    """A table of Python values, None for null; `times` names the columns of int ns since 1970 UTC."""
    pa = pyarrow()
    return pa.table({name: pa.array(values, pa.timestamp("ns", "UTC") if name in times else None) for name, values in columns.items()})


def polars_from(rows: Rows) -> Any:
    """All columns as a polars DataFrame, by way of Arrow."""
    return polars_of(table_from(rows))


def polars_of(table: Any) -> Any:
    """An Arrow table as a polars DataFrame."""
    try:
        import polars as pl
    except ImportError as error:
        raise missing_library("to_polars", "polars", "polars") from error
    return pl.from_arrow(table)


def _buffer(values: np.ndarray) -> Any:
    return pyarrow().py_buffer(np.ascontiguousarray(values))


def _bitmap(valid: np.ndarray | None) -> Any:
    return None if valid is None else _buffer(np.packbits(valid, bitorder="little"))


# In


def givens_from_stream(data: Any, schema: Schema, problems: list[Problem]) -> dict[str, Given]:
    """The columns of anything with `__arrow_c_stream__`; what can't be taken is added to `problems`."""
    pa = pyarrow()
    try:
        table = pa.RecordBatchReader.from_stream(data).read_all()
    except (pa.ArrowException, OSError, TypeError, ValueError) as error:
        raise InvalidInput(Problem("data", f"this Arrow stream can't be read as a table: {error}")) from error
    names = table.column_names
    problems += repeated_names(names)
    givens: dict[str, Given] = {}
    for name, values in zip(names, table.columns, strict=True):
        try:
            column = schema.column(name) if name in schema else None
            givens[name] = given_from_arrow(name, values, encode=column is not None and column.kind in (Kind.DICTIONARY, Kind.VOCABULARY))
        except InvalidInput as error:
            problems += error.problems
    return givens


def tables_from_stream(data: Any, most_bytes: int) -> Iterator[Any]:
    """What anything with `__arrow_c_stream__` gives, batch by batch, as tables over the same memory, each of about `most_bytes` at most."""
    pa = pyarrow()
    number = 0
    try:
        reader = pa.RecordBatchReader.from_stream(data)
        for number, batch in enumerate(reader):  # noqa: B007 - told of an error
            rows = -(-batch.num_rows // max(1, -(-batch.nbytes // most_bytes)))
            for start in range(0, batch.num_rows, max(rows, 1)):
                yield pa.Table.from_batches([batch.slice(start, rows)])
    except (pa.ArrowException, OSError, TypeError, ValueError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(Problem("data", f"this Arrow stream can't be read to its end, after batch {number}: {error}")) from error


def given_from_arrow(name: str, data: Any, *, encode: bool = False) -> Given:
    """One Arrow array, chunked or not, of any library; `encode` makes labels of text."""
    pa = pyarrow()
    try:
        values = data if isinstance(data, pa.ChunkedArray) else _imported(pa, data)
        return _given(pa, _plain(pa, values, encode=encode)) if len(values) else all_null(0)
    except InvalidInput as error:
        raise InvalidInput(Problem(f"column {name!r}", problem.what) for problem in error.problems) from error
    except (pa.ArrowException, OSError, TypeError, ValueError) as error:
        raise InvalidInput(Problem(f"column {name!r}", f"this Arrow array can't be taken: {error}")) from error


def _imported(pa: ModuleType, data: Any) -> Any:
    if hasattr(data, "to_arrow"):  # Series of older polars stream times as integers
        data = data.to_arrow()
    return pa.chunked_array(data) if hasattr(data, "__arrow_c_stream__") else pa.chunked_array([pa.array(data)])


def _plain(pa: ModuleType, values: Any, *, encode: bool) -> Any:
    """One contiguous array of a type that `_given` knows; only its offsets or codes are converted."""
    import pyarrow.compute as pc

    kinds = pa.types
    # Joining chunks fails on an empty one that came through a stream with an offset.
    values = pa.chunked_array([chunk for chunk in values.chunks if len(chunk)], values.type)
    if isinstance(values.type, pa.BaseExtensionType):
        values = pa.chunked_array([chunk.storage for chunk in values.chunks], values.type.storage_type)
    if kinds.is_run_end_encoded(values.type):
        values = pa.chunked_array([pc.run_end_decode(chunk) for chunk in values.chunks], values.type.value_type)
    if kinds.is_dictionary(values.type):
        # Chunks may have labels of their own, more together than their codes can count.
        if not _is_text(kinds, values.type.value_type):
            values = values.cast(values.type.value_type)
        elif values.num_chunks > 1:
            values = values.cast(pa.dictionary(pa.int32(), pa.large_string()))
    if _is_text(kinds, values.type):
        values = values.cast(pa.large_string())
        values = values.dictionary_encode() if encode else values
    elif _is_binary(kinds, values.type):
        values = values.cast(pa.large_binary())
    elif kinds.is_decimal(values.type):
        values = values.cast(pa.decimal128(38, values.type.scale))
    if values.num_chunks == 1:
        return values.chunk(0)
    return values.combine_chunks()


def _is_text(kinds: Any, kind: Any) -> bool:
    return bool(kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_string_view(kind))


def _is_binary(kinds: Any, kind: Any) -> bool:
    return bool(kinds.is_binary(kind) or kinds.is_large_binary(kind) or kinds.is_binary_view(kind) or kinds.is_fixed_size_binary(kind))


def _given(pa: ModuleType, array: Any) -> Given:
    kinds, kind, valid = pa.types, array.type, _valid(array)
    if kinds.is_null(kind):
        return all_null(len(array))
    if kinds.is_large_string(kind) or kinds.is_large_binary(kind):
        return Given(values=_ragged(array, text=kinds.is_large_string(kind)), valid=valid)
    if kinds.is_dictionary(kind):
        return _labelled(array)
    if kinds.is_decimal(kind):
        return Given(values=_decimals(array, valid), valid=valid)
    if kinds.is_fixed_size_list(kind) or kinds.is_list(kind) or kinds.is_large_list(kind):
        return _levels(pa, array, valid)
    return Given(values=_fixed_width(kinds, array), valid=valid)


def _fixed_width(kinds: Any, array: Any) -> np.ndarray:
    kind = array.type
    if kinds.is_boolean(kind):
        return _bits(array.buffers()[1], array.offset, len(array))
    if kinds.is_timestamp(kind):
        return _elements(array, np.dtype(f"datetime64[{kind.unit}]"))
    if kinds.is_date32(kind):
        return _elements(array, np.dtype(np.int32)).astype(np.int64).view("datetime64[D]")
    if kinds.is_date64(kind):
        return _elements(array, np.dtype("datetime64[ms]"))
    if kinds.is_integer(kind) or kinds.is_floating(kind):
        return _elements(array, np.dtype(kind.to_pandas_dtype()))
    raise InvalidInput(Problem("data", f"the Arrow type {kind} has no place in any kind of column; convert it before"))


def _valid(array: Any) -> np.ndarray | None:
    return None if array.null_count == 0 or array.buffers()[0] is None else _bits(array.buffers()[0], array.offset, len(array))


def _bits(buffer: Any, offset: int, count: int) -> np.ndarray:
    if not count:
        return np.empty(0, np.bool_)
    packed = np.frombuffer(buffer, np.uint8)[offset // 8 : (offset + count + 7) // 8]
    return np.unpackbits(packed, bitorder="little")[offset % 8 : offset % 8 + count].view(np.bool_)


def _elements(array: Any, dtype: np.dtype[Any]) -> np.ndarray:
    if not len(array):
        return np.empty(0, dtype)
    return np.frombuffer(array.buffers()[1], dtype, len(array), array.offset * dtype.itemsize)


def _ragged(array: Any, *, text: bool) -> Ragged:
    if not len(array):
        return Ragged(np.empty(0, np.uint8), np.zeros(1, np.int64), text)
    _, offsets, data = array.buffers()
    bounds = np.frombuffer(offsets, np.int64, len(array) + 1, array.offset * 8)
    return Ragged(np.empty(0, np.uint8) if data is None else np.frombuffer(data, np.uint8), bounds, text)


def _labelled(array: Any) -> Given:
    """Codes and labels; a label that is null makes its rows null."""
    labels = array.dictionary.to_pylist()
    codes = _elements(array.indices, np.dtype(array.indices.type.to_pandas_dtype())).astype(np.int32, copy=False)
    valid = _valid(array.indices)
    if None in labels:
        named = np.array([*(label is not None for label in labels), False])
        named = named[codes if valid is None else np.where(valid, codes, -1)]
        valid = named if valid is None else valid & named
    return Given(values=Labels(codes, tuple("" if label is None else label for label in labels)), valid=valid)


def _decimals(array: Any, valid: np.ndarray | None) -> Decimals:
    words = np.empty((0, 2), np.int64)
    if len(array):
        words = np.frombuffer(array.buffers()[1], np.int64, 2 * len(array), 16 * array.offset).reshape(-1, 2)
    beyond = words[:, 1] != words[:, 0] >> 63
    if valid is not None:
        beyond &= valid
    if beyond.any():
        row = int(np.argmax(beyond))
        raise InvalidInput(Problem("data", f"row {row} holds {array[row]}, more digits than a mantissa of 64 bits has; use fewer places"))
    return Decimals(np.ascontiguousarray(words[:, 0]), array.type.scale)


def _levels(pa: ModuleType, array: Any, valid: np.ndarray | None) -> Given:
    """Lists of one length as a two-dimensional array."""
    import pyarrow.compute as pc

    lengths = pc.unique(pc.list_value_length(array).drop_null()).to_pylist()
    if len(lengths) > 1:
        what = f"rows have from {min(lengths)} to {max(lengths)} levels; give every row the same number, padded with NaN"
        raise InvalidInput(Problem("data", what))
    inner = _given(pa, array.flatten())
    if not isinstance(inner.values, np.ndarray) or inner.values.ndim != 1 or inner.valid is not None:
        raise InvalidInput(Problem("data", f"the Arrow type {array.type} must hold numbers, none of them null; put NaN in empty levels"))
    levels = lengths[0] if lengths else 0
    values = inner.values.reshape(-1, levels) if levels else np.empty((0, 0), inner.values.dtype)
    if valid is not None:
        values, held = np.zeros((len(array), levels), inner.values.dtype), values
        values[valid] = held
    return Given(values=values, valid=valid)
