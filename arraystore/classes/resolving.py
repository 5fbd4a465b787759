"""Resolves symbols: reads names and definitions where they lie, and asks `symbols` which of them count."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from arraystore import arguments
from arraystore.arguments import TimeLike
from arraystore.classes.surface import Surface
from arraystore.classes.symbols import OPEN, Instrument, Name, Names, believed, holding, nearby, periods_of, spelt
from arraystore.datasets.dataset import Dataset
from arraystore.errors import NotFound
from arraystore.frames.columns import Labels, Ragged
from arraystore.frames.frame import Frame
from layouts.columns import Column, Kind
from layouts.naming import escape
from layouts.times import format_time, parse_time

NAMES = "symbology"
DEFINITIONS = "instrument_definitions"


class Resolver:
    """Resolves symbols by what the canonical class holds. Safe to share between threads; tables are kept until they change.

    Names lie in datasets `<any>/symbology/<any>`, whose rows tell the venue; definitions in `<venue>/instrument_definitions/<any>`.
    Where no symbology knows a symbol on a venue, the `raw_symbol` of its definitions counts.
    """

    def __init__(self, canonical: Surface) -> None:
        self._canonical = canonical
        self._held: dict[tuple[str, ...], tuple[str, Names]] = {}

    def resolve(self, symbol: str, venue: str, at: TimeLike, known_at: TimeLike | None) -> Instrument:
        """The instrument that `symbol` names, or NotFound with what is known nearby."""
        arguments.text(symbol, "symbol", empty=False)
        arguments.text(venue, "venue", empty=False)
        time, known = parse_time(at, "at"), None if known_at is None else parse_time(known_at, "known_at")
        defined = self._datasets(escape(venue), DEFINITIONS)
        tables = list(map(self._table, self._datasets("*", NAMES)))
        if not any(_here(table, symbol, venue) for table in tables):
            tables += map(self._table, defined)
        if not tables:
            raise NotFound(f"canonical has no names of instruments: keep them in <venue>/{NAMES}/_all, by the schema {NAMES!r}")
        name = holding(believed((name for table in tables for name in _here(table, symbol, venue)), known), time)
        if name is None:
            when = f"at {format_time(time)}" + ("" if known is None else f", as was known at {format_time(known)}")
            raise NotFound(f"{symbol!r} names no instrument of {venue!r} {when}; {nearby(tables, symbol, venue)}")
        names = believed((each for table in tables for each in table.of_instrument(name.instrument_uid, venue)), known)
        return Instrument(
            instrument_uid=name.instrument_uid,
            venue=venue,
            symbol=symbol,
            valid_from=name.valid_from,
            valid_to=name.valid_to,
            known_from=name.known_from,
            periods=periods_of(names),
            definition=self._definition(defined, name.instrument_uid, time, known),
        )

    def _datasets(self, venue: str, feed: str) -> list[Dataset]:
        found = (self._canonical[key] for key in self._canonical.find((venue, feed, "*")))
        return [dataset for dataset in found if dataset.schema.name == feed]

    def _definition(self, datasets: Sequence[Dataset], uid: str, time: int, known_at: int | None) -> Mapping[str, Any] | None:
        """The definition that held for an instrument, as was known."""
        latest: tuple[int, Dataset, Name] | None = None
        for dataset in datasets:
            name = holding(believed(self._table(dataset).of_instrument(uid, dataset.key[0]), known_at), time)
            if name is not None and (latest is None or name.known_from >= latest[0]):
                latest = name.known_from, dataset, name
        if latest is None:
            return None
        known, dataset, name = latest
        frame = dataset.read(known, known + 1, instruments=[uid])
        rows = np.flatnonzero((_times(frame, "valid_from") == name.valid_from) & spelt(_text(frame, "raw_symbol"), name.symbol))
        return row_of(frame, int(rows[-1]))

    def _table(self, dataset: Dataset) -> Names:
        digest, table = self._held.get(dataset.key, ("", None))
        if table is None or digest != dataset.digest:
            table = _names_of(dataset)
            self._held[dataset.key] = (dataset.digest, table)
        return table


def _here(table: Names, symbol: str, venue: str) -> list[Name]:
    return [name for name in table.of_symbol(symbol) if name.venue == venue]


def _names_of(dataset: Dataset) -> Names:
    """The names that a dataset of symbology, or of definitions, tells."""
    symbol, known = ("symbol", "known_from") if dataset.schema.name == NAMES else ("raw_symbol", "time")
    own_venue = ["venue"] if dataset.schema.name == NAMES else []
    frame = dataset.read(columns=["instrument_uid", *own_venue, symbol, "valid_from", "valid_to", known])
    return Names(
        uids=_labels(frame, "instrument_uid"),
        venues=_labels(frame, "venue") if own_venue else Labels(np.zeros(frame.row_count, np.int32), (dataset.key[0],)),
        symbols=_text(frame, symbol),
        valid_from=_times(frame, "valid_from"),
        valid_to=_times(frame, "valid_to"),
        known_from=_times(frame, known),
    )


def _labels(frame: Frame, column: str) -> Labels:
    value = frame[column]
    assert isinstance(value, Labels), column
    return value


def _text(frame: Frame, column: str) -> Ragged:
    value = frame[column]
    assert isinstance(value, Ragged), column
    return value


def _times(frame: Frame, column: str) -> np.ndarray:
    times, valid = np.asarray(frame[column]).view(np.int64), frame.valid(column)
    return times if valid is None else np.where(valid, times, OPEN)


def row_of(frame: Frame, row: int) -> dict[str, Any]:
    """One row as plain values: times as ns, codes of a vocabulary as their meaning, nulls as None."""
    return {column.name: _plain(column, frame, row) for column in frame.schema.columns}


def _plain(column: Column, frame: Frame, row: int) -> Any:
    valid, value = frame.valid(column.name), frame[column.name][row]
    if valid is not None and not valid[row]:
        return None
    if column.kind is Kind.TIME:
        return int(value.view(np.int64))
    if column.kind is Kind.VOCABULARY:
        return next((meaning for meaning, code in column.vocabulary if code == value), int(value))
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value
