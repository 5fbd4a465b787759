"""What a read returns: a mapping of columns, and the ways from there to other libraries."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from arraystore.errors import InvalidInput, NotFound
from arraystore.frames.columns import Labels, Value, value_of
from arraystore.frames.rows import Rows
from arraystore.versions.commit import Pin
from layouts.schema import Column, Kind, Schema
from layouts.times import format_time

SHOWN_ROWS = 5  # at each end
SHOWN_CHARACTERS = 32


class Frame(Mapping[str, Any]):
    """Columns by name, and the `pin` of what was read: NumPy arrays (times as datetime64[ns]), `Ragged`, `Labels`, `Decimals`.

    `len()` counts columns, `row_count` rows. Under a null a float is NaN, a time NaT, any other number 0; `valid(name)` tells nulls from
    values, which a plain `dict` of a frame has lost: to change values and write them back, begin with `to_mapping`, `to_pandas`,
    `to_arrow` or `to_polars`.
    Nothing in it is ever changed; conversions share its memory where types allow, so don't write through them.
    """

    def __init__(self, rows: Rows, pin: Pin | None = None) -> None:
        self.rows = rows
        self.pin = pin
        self._values: dict[str, Value] = {}

    @property
    def schema(self) -> Schema:
        """The schema of the columns that were read."""
        return self.rows.schema

    @property
    def row_count(self) -> int:
        """How many rows there are."""
        return self.rows.count

    def __getitem__(self, name: str) -> Any:
        if name not in self._values:
            self._known(name)
            self._values[name] = value_of(self.rows, name)
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self.rows.schema

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows.schema.names)

    def __len__(self) -> int:
        return len(self.rows.schema.names)

    __eq__ = object.__eq__  # a Mapping's would compare arrays for truth
    __hash__ = object.__hash__

    def valid(self, name: str) -> np.ndarray | None:
        """Which rows of a column aren't null: bool per row, or None where all are valid."""
        self._known(name)
        return self.rows.validity(name)

    def take(self, rows: np.ndarray | slice) -> "Frame":
        """Some of the rows, nulls and all: a slice, positions from 0, or one bool per row. Without a pin, which names whole reads."""
        if isinstance(rows, slice):
            return Frame(self.rows.take(np.arange(self.row_count)[rows]))
        chosen = np.asarray(rows)
        if chosen.ndim != 1 or (chosen.size and chosen.dtype.kind not in "biu"):
            raise InvalidInput(f"{rows!r} chooses no rows: give a slice, positions from 0, or one bool per row", "rows")
        if chosen.dtype == np.bool_ and len(chosen) != self.row_count:
            raise InvalidInput(f"{len(chosen)} bools for {self.row_count} rows: give one for each", "rows")
        positions = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen.astype(np.int64)
        if positions.size and (positions.min() < 0 or positions.max() >= self.row_count):
            raise InvalidInput(f"positions lie from {positions.min()} to {positions.max()}: give 0 to {self.row_count - 1}", "rows")
        return Frame(self.rows.take(positions))

    def _known(self, name: str) -> None:
        if name not in self.rows.schema:
            from difflib import get_close_matches

            nearest = get_close_matches(str(name), self.rows.schema.names, 1)
            advice = f"did you mean {nearest[0]!r}?" if nearest else f"there are {', '.join(self)}"
            raise NotFound(f"column {name!r} isn't among those that were read; {advice}")

    def to_mapping(self) -> dict[str, Any]:
        """A `dict` of the columns that goes back in as it is: with `<name>_valid`, bool per row, beside each column that has nulls.

        Put other values in it to write a corrected window; whose nulls change needs another `<name>_valid` too. Shares this frame's memory:
        don't write into its arrays.
        """
        columns: dict[str, Any] = {}
        for name in self:
            columns[name] = self[name]
            if (valid := self.valid(name)) is not None:
                columns[f"{name}_valid"] = valid
        return columns

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` indexed by the axis clock, in UTC.

        Floats are NaN where null; other nullable numbers get pandas' masked types; vocabularies and labels are categorical; text,
        bytes, decimals and levels are Arrow arrays.
        """
        from arraystore.frames.pandasframe import dataframe_from

        return dataframe_from(self.rows)

    def to_arrow(self) -> Any:
        """A `pyarrow.Table`: times as timestamp[ns, UTC], vocabularies and labels as dictionaries, decimals as decimal128, levels as lists.

        Numbers, times, text and bytes aren't copied.
        """
        from arraystore.frames.arrow import table_from

        return table_from(self.rows)

    def to_polars(self) -> Any:
        """A `polars.DataFrame`, by way of Arrow."""
        from arraystore.frames.arrow import polars_from

        return polars_from(self.rows)

    def to_xarray(self, *, by_row: bool = False) -> Any:
        """An `xarray.Dataset` in memory, with the variables and CF attributes that a segment has on disk, times decoded.

        Text and bytes stay contiguous ragged arrays (`x` and `x_count`), labels codes. With `by_row` these are an object per row, so that
        selecting rows selects them too, and each column that may be null has its `x_valid`: this is what a lazy Dataset
        (`DatasetView.to_xarray`) loads.
        """
        from arraystore.frames.xarrayframe import dataset_from, rowwise_dataset_from

        return rowwise_dataset_from(self.rows) if by_row else dataset_from(self.rows)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """What Arrow libraries (polars, DuckDB, pandas, pyarrow itself) ask of a table."""
        stream: object = self.to_arrow().__arrow_c_stream__(requested_schema)
        return stream

    def __repr__(self) -> str:
        cells = [[f"{name}:" for name in self], *(row or ["…"] * len(self) for row in self._preview())]
        widths = [max(len(row[place]) for row in cells) for place in range(len(self))]
        lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
        return "\n".join([self._title(), *lines])

    def _repr_html_(self) -> str:
        from html import escape

        head = "".join(f"<th>{escape(name)}<br><small>{escape(_type_of(self.schema.column(name)))}</small></th>" for name in self)
        body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row or ['…'] * len(self))}</tr>" for row in self._preview())
        return f"<table><caption>{escape(self._title())}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def _title(self) -> str:
        of = f" of {'/'.join(self.pin.key)} at version {self.pin.version}" if self.pin else ""
        return f"Frame {self.schema.name}{of}: {self.row_count:,} rows × {len(self)} columns"

    def _preview(self) -> Iterator[list[str]]:
        """The first and the last rows as texts, an empty row where some are left out."""
        ends = (
            [(0, self.row_count)] if self.row_count <= 2 * SHOWN_ROWS else [(0, SHOWN_ROWS), (self.row_count - SHOWN_ROWS, self.row_count)]
        )
        for place, (start, stop) in enumerate(ends):
            if place:
                yield []
            part = self.rows.slice(start, stop)
            columns = [_texts(part, column) for column in self.schema.columns]
            yield from map(list, zip(*columns, strict=True))


def _type_of(column: Column) -> str:
    kind = column.dtype if column.kind is Kind.NUMBER else str(column.kind)
    return f"{kind}{f'[{column.levels}]' if column.levels else ''}{'?' if column.nullable else ''}"


def _texts(rows: Rows, column: Column) -> list[str]:
    value, valid = value_of(rows, column.name), rows.validity(column.name)
    items: list[Any] = value.tolist()
    if column.kind is Kind.TIME:
        items = [format_time(item) for item in np.asarray(value).view(np.int64).tolist()]
    elif column.kind is Kind.VOCABULARY:
        meanings = {code: meaning for meaning, code in column.vocabulary}
        items = [meanings.get(item, item) for item in np.asarray(value).tolist()]
    flags = [True] * rows.count if valid is None else valid.tolist()
    return [_shortened(item, plain=isinstance(value, Labels)) if ok else "null" for item, ok in zip(items, flags, strict=True)]


def _shortened(item: object, *, plain: bool) -> str:
    text = item if isinstance(item, str) and (plain or item.isprintable()) else str(item) if not isinstance(item, str) else repr(item)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"
