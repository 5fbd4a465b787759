"""Flavor `pandas`: tables that `pandas.read_hdf` reads, which is no plain HDF5; the one door to pandas' HDFStore.

The axis becomes a DatetimeIndex in UTC. Text, labels and the meanings of a vocabulary become strings; decimals the nearest doubles;
a column of levels one column a level (`bid_price_0`, …); a nullable number gets `<column>_valid`, with its stand-in under a null.
"""

# mypy: disable-error-code="import-untyped"

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from arraystore.errors import Corrupt, InvalidInput
from arraystore.frames.columns import Decimals, Labels, value_of
from arraystore.frames.rows import Rows
from layouts.schema import Column, Kind

if TYPE_CHECKING:
    from arraystore.hdf5.exporting import ExportProgress, Source

COMPRESSION_LEVEL = 4


def write_tables(partial: Path, sources: "Sequence[Source]", tell: "Callable[[ExportProgress], None]") -> dict[str, int]:
    """Write each source as a table of its group's name, and compare what reads back with the rows; how many there were of each."""
    from arraystore.hdf5.exporting import ExportProgress

    pd = _pandas()
    rows: dict[str, int] = {}
    with pd.HDFStore(str(partial), mode="w", complevel=COMPRESSION_LEVEL, complib="zlib", fletcher32=True) as store:
        for source in sources:
            _refuse_bytes(source)
            widths = _widths(source)
            done = 0
            for batch in _batches(source):
                frame = dataframe_of(pd, batch)
                store.append(source.group, frame, format="table", index=False, min_itemsize=widths or None)
                done += batch.count
                tell(ExportProgress(group=source.group, rows=done, most_rows=source.most_rows))
            rows[source.group] = done
    with pd.HDFStore(str(partial), mode="r") as store:
        for source in sources:
            _prove(pd, store, source)
    return rows


def dataframe_of(pd: ModuleType, rows: Rows) -> Any:
    """Rows as a DataFrame of types that PyTables can store."""
    columns: dict[str, Any] = {}
    axis = rows.schema.axis
    for column in rows.schema.columns:
        if column.name == axis:
            continue
        value, valid = value_of(rows, column.name), rows.validity(column.name)
        if isinstance(value, np.ndarray) and value.ndim == 2:
            columns |= {f"{column.name}_{level}": np.ascontiguousarray(value[:, level]) for level in range(value.shape[1])}
        elif column.kind is Kind.TIME:
            columns[column.name] = pd.DatetimeIndex(value, tz="UTC")
        elif _is_text(column):
            columns[column.name] = _strings(column, value)
        elif isinstance(value, Decimals):
            columns[column.name] = np.asarray(value.mantissa / 10.0**value.places)
        else:
            columns[column.name] = value
        if column.nullable and column.kind is not Kind.TIME:
            columns[f"{column.name}_valid"] = np.ones(rows.count, np.bool_) if valid is None else valid
    index = pd.DatetimeIndex(value_of(rows, axis), tz="UTC", name=axis) if axis in rows.schema else pd.RangeIndex(rows.count)
    return pd.DataFrame(columns, index=index)


def _batches(source: "Source") -> Iterator[Rows]:
    """All batches; one of no rows where there is none, so that the table is there."""
    from arraystore.frames.rows import empty

    some = False
    for batch in source.batches():
        some = True
        yield batch
    if not some:
        yield empty(source.schema)


def _is_text(column: Column) -> bool:
    return column.kind in (Kind.TEXT, Kind.DICTIONARY, Kind.VOCABULARY)


def _strings(column: Column, value: Any) -> Any:
    if column.kind is Kind.VOCABULARY:
        meanings = {code: meaning for meaning, code in column.vocabulary}
        found, places = np.unique(value, return_inverse=True)
        return np.array([meanings.get(code, "") for code in found.tolist()], object)[places]
    if isinstance(value, Labels):
        return np.array([*value.labels, ""], object)[value.codes]
    return np.array(["" if text is None else text for text in value], object)


def _widths(source: "Source") -> dict[str, int]:
    """Bytes of the longest text of each column of strings: PyTables wants to know before the first row."""
    widths = {column.name: 1 for column in source.schema.columns if _is_text(column)}
    for column in source.schema.columns:
        if column.kind is Kind.VOCABULARY:
            widths[column.name] = max(1, *(len(meaning.encode()) for meaning, _ in column.vocabulary))
    for batch in source.batches() if widths else ():
        for name, width in widths.items():
            counts = batch.arrays.get(f"{name}_count", np.zeros(0, np.uint32))
            widths[name] = max(int(counts.max(initial=width)), *(len(label.encode()) for label in batch.labels.get(name, ())), width)
    return widths


def _refuse_bytes(source: "Source") -> None:
    names = [column.name for column in source.schema.columns if column.kind is Kind.BYTES]
    if names:
        kept = [name for name in source.schema.names if name not in names]
        what = f"columns {names} hold bytes, which pandas tables can't: pass columns={kept}, or use flavor 'portable'"
        raise InvalidInput(what, "columns")


def _prove(pd: ModuleType, store: Any, source: "Source") -> None:
    start = 0
    for batch in _batches(source):
        expected = dataframe_of(pd, batch)
        found = store.select(source.group, start=start, stop=start + batch.count)
        try:
            pd.testing.assert_frame_equal(found, expected, check_dtype=False, check_freq=False, check_exact=True, check_index_type=False)
        except AssertionError as error:
            raise Corrupt(
                f"{source.group}: rows {start} to {start + batch.count} read back otherwise than they were written: {error}"
            ) from error
        start += batch.count


def _pandas() -> ModuleType:
    try:
        import pandas as pd
        import tables  # noqa: F401 - PyTables, which pandas' HDFStore stands on
    except ImportError as error:
        raise InvalidInput("flavor 'pandas' needs pandas and PyTables: install arraystore[hdf5]", "flavor") from error
    return pd  # type: ignore[no-any-return]
