"""Histories of a dataset, selections of their rows, and the model that says what each selects: NumPy on all rows in reading order."""

import msgspec
import numpy as np
from hypothesis import strategies as st

from arraystore.frames.rows import Rows, concat
from arraystore.segments.plan import Part, Selection
from arraystore.storage.base import Storage
from arraystore.testing.parts import segment_part, tail_part
from arraystore.testing.strategies import LABELS, START, rows_of, schemas, small_chunks
from layouts.schema import Kind, Order, Schema

type History = tuple[Schema, list[Rows]]


@st.composite
def histories(draw: st.DrawFn, most_parts: int = 4, most_rows: int = 120, most_columns: int = 5) -> History:
    """A schema, and the rows of several parts of it, each in order itself."""
    schema = draw(schemas(most_columns))
    pieces = draw(st.lists(rows_of(schema, least=1, most=most_rows), min_size=1, max_size=most_parts))
    if schema.order is Order.TIME:
        pieces = [rows.take(np.argsort(rows.arrays["time"], kind="stable")) for rows in pieces]
    return schema, pieces


def write(storage: Storage, history: History, sizes: tuple[int, int, int], profile: str, tails: int) -> list[Part]:
    """The last `tails` pieces as tails, what comes before as segments of chunks and shards of these sizes."""
    pieces = history[1]
    with small_chunks(*sizes):
        return [
            tail_part(rows, number) if number >= len(pieces) - tails else segment_part(storage, rows, number, profile=profile)
            for number, rows in enumerate(pieces)
        ]


def in_reading_order(history: History) -> Rows:
    """All rows one after another, and sorted by time where the schema says so."""
    schema, pieces = history
    rows = concat(pieces, schema)
    return rows.take(np.argsort(rows.arrays["time"], kind="stable")) if schema.order is Order.TIME else rows


@st.composite
def drawn_selections(draw: st.DrawFn, schema: Schema, count: int, every: int | None = None) -> Selection:
    """A range of any clock, or of rows; some labels; each so many-th."""
    labels: tuple[str, frozenset[str]] | None = None
    by_label = draw(st.booleans())
    dictionaries = [column.name for column in schema.columns if column.kind is Kind.DICTIONARY]
    if dictionaries and by_label:
        labels = draw(st.sampled_from(dictionaries)), draw(st.frozensets(st.sampled_from((*LABELS, "unheard of"))))
    every = every or draw(st.sampled_from((1, 1, 2, 7, 100)))
    if draw(st.booleans()):
        first, last = sorted(draw(st.tuples(st.integers(0, count + 5), st.integers(0, count + 5))))
        return Selection(rows=(first, last), labels=labels, every=every)
    bound = st.one_of(st.none(), st.integers(START - 70, START + 700))
    clock = draw(st.sampled_from((None, *schema.clocks)))
    return Selection(start=draw(bound), stop=draw(bound), clock=clock, labels=labels, every=every)


def selected(whole: Rows, selection: Selection) -> Rows:
    """The model: which of all rows, given in reading order, a selection means."""
    mask = np.ones(whole.count, np.bool_)
    if selection.rows is not None:
        mask[: selection.rows[0]] = mask[selection.rows[1] :] = False
    if selection.by_clock:
        clock = selection.clock or whole.schema.axis
        times, valid = whole.arrays.get(clock, np.zeros(whole.count, np.int64)), whole.validity(clock)
        mask &= True if valid is None else valid
        mask &= True if selection.start is None else times >= selection.start
        mask &= True if selection.stop is None else times < selection.stop
    if selection.labels is not None:
        column, labels = selection.labels
        names = np.array([*whole.labels.get(column, ()), None], object)
        codes = whole.arrays.get(column, np.full(whole.count, -1))
        mask &= np.isin(names[codes], list(labels)) if labels else False
    return whole.take(np.flatnonzero(mask)[:: selection.every])


def with_levels(rows: Rows, levels: slice | None) -> Rows:
    """The same rows with fewer levels."""
    if levels is None:
        return rows
    having = {column.name for column in rows.schema.columns if column.levels is not None}
    columns = tuple(
        msgspec.structs.replace(column, levels=levels.stop - levels.start) if column.name in having else column
        for column in rows.schema.columns
    )
    arrays = {name: array[:, levels] if name in having else array for name, array in rows.arrays.items()}
    return Rows(schema=msgspec.structs.replace(rows.schema, columns=columns), count=rows.count, arrays=arrays, labels=rows.labels)
