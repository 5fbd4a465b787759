"""The one door to Arrow's datasets: a dataset of ours whose scans turn columns and filters into reads of chunks."""

# mypy: disable-error-code="import-untyped, misc, no-any-return"

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
from pyarrow.fs import LocalFileSystem

from arraystore import arguments
from arraystore.arguments import TimeLike
from arraystore.datasets.view import DatasetView
from arraystore.errors import InvalidInput
from arraystore.frames.arrow import arrow_schema, batches_from
from arraystore.frames.beside import EXACT
from arraystore.tabular.ranges import Span, wanted_ranges
from layouts.schema import Kind, Schema

MEMORY = 128 << 20
UNSCANNED = "an-arraystore-dataset-is-scanned-by-its-own-methods"
"""The name of the file that Arrow misses if it goes past them, as joins and `Scanner.from_dataset` do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What of a dataset is to be seen."""

    start: int | None
    stop: int | None
    columns: tuple[str, ...]
    window: str | None
    instruments: tuple[str, ...] | str | None
    microseconds: bool


def _refused(name: str, advice: str) -> Any:
    """A method that Arrow's datasets have, and ours can't: it would go past our scans."""

    def refuse(self: Any, *args: Any, **options: Any) -> Any:
        del self, args, options
        raise InvalidInput(f"a dataset of an arraystore can't do this: {advice}", name)

    return refuse


class ArrowData(pads.FileSystemDataset):
    """A `pyarrow.dataset.Dataset` of one version of a dataset: `to_table`, `to_batches`, `scanner`, `head`, `count_rows` and `filter`.

    Filters on clocks become ranges, and columns that nobody asks for aren't decoded; every filter is then applied as a whole, by Arrow.
    Rows come in the dataset's order. Safe to share between threads.
    """

    def __init__(self, view: DatasetView, chosen: Chosen, expression: pc.Expression | None = None) -> None:
        self._view = view
        self._chosen = chosen
        self._expression = expression
        self._rows_schema = view.schema if chosen.window is None else view.schema_of(chosen.window)
        self._shown = _Shown(self._rows_schema, chosen)
        form = pads.IpcFileFormat()
        files = [form.make_fragment(UNSCANNED, LocalFileSystem())]
        super().__init__(files, self._shown.schema, form, LocalFileSystem())

    def __reduce__(self) -> Any:
        raise InvalidInput("it holds an open store: open the store there, and call to_arrow_dataset anew", "pickle")

    # --- reading -------------------------------------------------------------------------------------------------

    def scanner(self, columns: Any = None, filter: pc.Expression | None = None, **options: Any) -> pads.Scanner:  # noqa: A002 - as Arrow calls it
        """A `pyarrow.dataset.Scanner`, to be gone through once; arguments as Arrow has them."""
        expression = _both(self._expression, filter)
        wanted = list(self._shown.schema.names) if columns is None else columns
        needed = self._needed(wanted, expression)
        batches = self._batches(needed, expression)
        schema = pa.schema([self._shown.schema.field(name) for name in needed])
        kept = {name: options[name] for name in ("batch_size", "use_threads", "memory_pool") if options.get(name) is not None}
        return pads.Scanner.from_batches(batches, schema=schema, columns=wanted, filter=expression, **kept)

    def count_rows(self, filter: pc.Expression | None = None, **options: Any) -> int:  # noqa: A002 - as Arrow calls it
        """How many rows a filter leaves; without any, nothing is decoded."""
        expression = _both(self._expression, filter)
        chosen = self._chosen
        if expression is None and chosen.instruments is None:
            return self._view.extent(chosen.start, chosen.stop, window=chosen.window).rows
        reader = self.scanner(columns=[], filter=filter, **options).to_reader()
        return sum(batch.num_rows for batch in reader)

    def filter(self, expression: pc.Expression) -> "ArrowData":
        """The same with a filter, beside those that it has."""
        return ArrowData(self._view, self._chosen, _both(self._expression, expression))

    # --- what Arrow would do past these methods -----------------------------------------------------------------

    get_fragments = _refused("get_fragments", "there are no parts that could be read one by one: take to_batches()")
    replace_schema = _refused("replace_schema", "cast what to_table() or to_batches() gives")
    join = _refused("join", "join what to_table() gives, or use a query engine")
    join_asof = _refused("join_asof", "DatasetView.as_of does this, or to_table().join_asof")
    sort_by = _refused("sort_by", "sort what to_table() gives, or use a query engine")

    @property
    def files(self) -> list[str]:
        """None: what is read is chunks of many files, as a plan has it."""
        return []

    # --- how -----------------------------------------------------------------------------------------------------

    def _needed(self, wanted: Any, expression: pc.Expression | None) -> list[str]:
        """The shown columns that a scan has to have: those wanted, and those that an expression looks at."""
        projected = {} if not isinstance(wanted, dict) else wanted
        names = set() if projected else {name for name in wanted if name in self._shown.schema.names}
        for each in (*projected.values(), *(() if expression is None else (expression,))):
            names |= {name for name in self._shown.schema.names if name not in names and _looks_at(self._shown.schema, each, name)}
        return [name for name in self._shown.schema.names if name in names or (not names and name == self._shown.schema.names[0])]

    def _batches(self, needed: Sequence[str], expression: pc.Expression | None) -> Iterator[pa.RecordBatch]:
        """The rows that may be wanted, with the shown columns that are needed."""
        chosen = self._chosen
        columns = list(dict.fromkeys(self._shown.origin[name] for name in needed))
        clock, ranges = self._ranges(expression)
        for start, stop in ranges:
            scan = self._view.scan(
                start, stop, columns, clock=clock, window=chosen.window, instruments=chosen.instruments, memory=MEMORY, prefetch=1
            )
            for frame in scan:
                for batch in batches_from(frame.rows):
                    yield self._shown.batch(batch, needed)

    def _ranges(self, expression: pc.Expression | None) -> tuple[str | None, list[tuple[int | None, int | None]]]:
        """The clock by which to read, and ranges of it that hold all that an expression leaves."""
        start, stop = self._chosen.start, self._chosen.stop
        whole: list[tuple[int | None, int | None]] = [(start, stop)]
        if expression is None or self._view.state.schema is None:
            return None, whole
        schema = self._rows_schema
        ranged = (start, stop) != (None, None)
        for clock in schema.clocks[: 1 if ranged else None]:
            shown = [name for name in self._shown.schema.names if self._shown.origin[name] == clock]
            spans = self._spans(clock, start, stop) if shown else []
            if not spans:
                continue
            prover = _Prover(self._shown.schema, expression, shown)
            if schema.column(clock).nullable and prover.possible_of_null():
                continue
            found = wanted_ranges(spans, prover.possible)
            if clock != schema.axis and found:
                found = [(found[0][0], found[-1][1])]  # by another clock than the axis, several ranges would come in another order
            if found != [(spans[0][0], spans[-1][1] + 1)]:
                return clock, [*found]
        return None, whole

    def _spans(self, clock: str, start: int | None, stop: int | None) -> list[Span]:
        """First and last moments of windows, cut to what is chosen: ascending and apart from each other, or else as one."""
        every = self._view.state.spans(clock)
        found = [
            (first if start is None else max(first, start), last if stop is None else min(last, stop - 1))
            for first, last, rows in zip(every.first.tolist(), every.last.tolist(), every.rows.tolist(), strict=True)
            if rows and first <= last
        ]
        found = [(first, last) for first, last in found if first <= last]
        apart = all(left[1] < right[0] for left, right in pairwise(found))
        return found if apart or not found else [(min(first for first, _ in found), max(last for _, last in found))]


class _Shown:
    """The columns as they are shown: as Arrow has them, or for those who have no nanoseconds, times in µs beside the exact int64."""

    def __init__(self, schema: Schema, chosen: Chosen) -> None:
        exact = arrow_schema(schema)
        fields: list[pa.Field] = []
        self.origin: dict[str, str] = {}
        taken = set(chosen.columns)
        for name in chosen.columns:
            field = exact.field(name)
            if chosen.microseconds and schema.column(name).kind is Kind.TIME:
                beside = f"{name}{EXACT}"
                while beside in taken:
                    beside += "_"
                taken.add(beside)
                fields += [pa.field(name, pa.timestamp("us"), field.nullable), pa.field(beside, pa.int64(), field.nullable)]
                self.origin |= {name: name, beside: name}
            else:
                fields.append(field)
                self.origin[name] = name
        self.schema = pa.schema(fields)

    def batch(self, batch: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
        """A batch of ours with the columns that are shown."""
        schema = pa.schema([self.schema.field(name) for name in names])
        return pa.RecordBatch.from_arrays([self._shown(batch, field) for field in schema], schema=schema)

    def _shown(self, batch: pa.RecordBatch, field: pa.Field) -> pa.Array:
        values = batch.column(self.origin[field.name])
        if values.type == field.type:
            return values
        counts = values.view(pa.int64())
        if pa.types.is_integer(field.type):
            return counts
        # Rounded down, also before 1970, so that the order stays and whole microseconds are found where they are.
        floored = np.floor_divide(np.asarray(counts.fill_null(0)), 1000)
        mask = np.asarray(counts.is_null()) if counts.null_count else None
        return pa.array(floored, pa.int64(), mask=mask).view(pa.timestamp("us"))


class _Prover:
    """Proves that an expression leaves no row of a span, by what Arrow makes of it if it is told so: as of files of a partition."""

    def __init__(self, schema: pa.Schema, expression: pc.Expression, names: Sequence[str]) -> None:
        self._schema = schema
        self._expression = expression
        self._names = names
        self._form = pads.IpcFileFormat()
        self._system = LocalFileSystem()

    def possible(self, spans: Sequence[Span]) -> list[bool]:
        """Of each span, whether it may hold a row that is wanted."""
        return self._asked([self._within(*span) for span in spans])

    def possible_of_null(self) -> bool:
        """Whether a row may be wanted whose clock is null."""
        told = pc.field(self._names[0]).is_null()
        for name in self._names[1:]:
            told &= pc.field(name).is_null()
        return self._asked([told])[0]

    def _asked(self, guarantees: Sequence[pc.Expression]) -> list[bool]:
        files = [self._form.make_fragment(str(place), self._system, each) for place, each in enumerate(guarantees)]
        data = pads.FileSystemDataset(files, self._schema, self._form, self._system)
        left = {each.path for each in data.get_fragments(self._expression)}
        return [str(place) in left for place in range(len(guarantees))]

    def _within(self, first: int, last: int) -> pc.Expression:
        told = None
        for name in self._names:
            kind = self._schema.field(name).type
            low, high = (first // 1000, last // 1000) if kind == pa.timestamp("us") else (first, last)
            field = pc.field(name)
            told = _both(told, (field >= pa.scalar(low, pa.int64()).cast(kind)) & (field <= pa.scalar(high, pa.int64()).cast(kind)))
        return told


def arrow_dataset(
    view: DatasetView,
    start: TimeLike | None,
    end: TimeLike | None,
    columns: Iterable[str] | None,
    *,
    window: str | None,
    instruments: Iterable[str] | str | None,
    microseconds: bool = False,
) -> ArrowData:
    """See `DatasetView.to_arrow_dataset`; with `microseconds`, as `DatasetView.to_duckdb` has it."""
    schema = view.schema if window is None else view.schema_of(window)
    span, wanted = arguments.bounds(start, end), arguments.columns(schema, columns)
    chosen = None if instruments is None or isinstance(instruments, str) else tuple(instruments)
    arguments.instruments(schema, instruments if chosen is None else chosen)
    named = instruments if isinstance(instruments, str) else chosen
    kept = Chosen(start=span[0], stop=span[1], columns=wanted, window=window, instruments=named, microseconds=microseconds)
    return ArrowData(view, kept)


def _both(left: pc.Expression | None, right: pc.Expression | None) -> Any:
    return right if left is None else left if right is None else left & right


def _looks_at(schema: pa.Schema, expression: pc.Expression, name: str) -> bool:
    """Whether an expression needs a column: then it can't be bound to a schema without it."""
    without = schema.remove(schema.get_field_index(name))
    try:
        pads.Scanner.from_batches(iter(()), schema=without, columns=[], filter=expression.is_valid())
    except (pa.ArrowException, KeyError, TypeError, ValueError):
        return True
    return False
