"""Batches of a file's columns as rows of the dataset, and what must hold from one batch to the next."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import msgspec

from arraystore.errors import InvalidInput, Problem
from arraystore.frames.intake import first_step_back, rows_from
from arraystore.frames.rows import Rows
from arraystore.ingest.checks import Rule
from arraystore.ingest.mapping import Mapping as FileMapping
from arraystore.ingest.names import Names
from arraystore.ingest.rules import rules_of
from arraystore.ingest.tables import Batch
from arraystore.ingest.values import encoded, value_of_column
from layouts.schema import Order, Schema
from layouts.times import format_time


@dataclass(slots=True, kw_only=True)
class Guard:
    """What was seen so far of a file: the last time, and the one value of columns that must not vary."""

    last: int | None = None
    same: dict[str, str] = field(default_factory=dict)

    def copy(self) -> "Guard":
        """The same, apart."""
        return replace(self, same=dict(self.same))


@dataclass(frozen=True, kw_only=True)
class Converter:
    """Makes rows of one file's batches. Without a state of its own; safe to share between threads."""

    schema: Schema
    rules: tuple[Rule, ...]
    names: Names
    same: tuple[str, ...]
    sort: bool

    @cached_property
    def loose(self) -> Schema:
        """The schema without the rule of time order, which is checked here, or kept later by sorting."""
        return msgspec.structs.replace(self.schema, order=Order.ARRIVAL)

    def rows(self, batch: Batch, guard: Guard, first_row: int) -> Rows:
        """The batch's rows, which follow what the guard has seen; raises with every column's first problem."""
        problems: list[Problem] = []
        values: dict[str, Any] = {}
        for rule in self.rules:
            try:
                values[rule.column.name] = value_of_column(rule, batch.columns, self.names, batch.count, first_row)
            except InvalidInput as error:
                problems += error.problems
        if problems:
            raise InvalidInput(problems)
        rows = rows_from(values, self.loose)
        self._check(batch, rows, guard)
        return rows if self.sort else Rows(schema=self.schema, count=rows.count, arrays=rows.arrays, labels=rows.labels)

    def _check(self, batch: Batch, rows: Rows, guard: Guard) -> None:
        times = rows.arrays[self.schema.axis]
        if not len(times):
            return
        where = f"column {self.schema.axis!r}"
        first, last = int(times.min()), int(times.max())
        if self.names.span is not None and not (self.names.span[0] <= first and last < self.names.span[1]):
            wrong = first if first < self.names.span[0] else last
            start, stop = map(format_time, self.names.span)
            told = f"holds {format_time(wrong)}, outside of {start} to {stop}, of which the file is by its name"
            raise InvalidInput(Problem(where, f"{told}: is it the file of another day?"))
        if self.schema.order is Order.TIME and not self.sort:
            before = times[0] if guard.last is None else guard.last
            if times[0] < before:
                raise _steps_back(where, int(times[0]), int(before))
            if (later := first_step_back(times)) is not None:
                raise _steps_back(where, int(times[later]), int(times[later - 1]))
            guard.last = int(times[-1])
        for name in self.same:
            self._check_same(name, batch.columns[name], guard)

    def _check_same(self, name: str, array: Any, guard: Guard) -> None:
        for label in encoded(array).dictionary.to_pylist():
            if label is not None and guard.same.setdefault(name, label) != label:
                told = f"holds {label!r} after {guard.same[name]!r}, and a dataset of one {name} is meant"
                told = f"{told}: name {{{name}}} in the dataset's key (--into) and under file.split, or choose rows by file.where"
                raise InvalidInput(Problem(f"column {name!r}", told))


def _steps_back(where: str, time: int, before: int) -> InvalidInput:
    told = f"holds {format_time(time)}, before {format_time(before)} of the row above"
    return InvalidInput(Problem(where, f"{told}, and rows must be in time order: sort the file, or say file.sort = true in the mapping"))


def converter_for(mapping: FileMapping, schema: Schema, names: Names, same: tuple[str, ...] = ()) -> Converter:
    """The converter of a file with these names; of the columns `same` it may hold one value only, as of those of the mapping."""
    sort = mapping.file.sort and schema.order is Order.TIME
    rules = rules_of(mapping, schema, names)
    return Converter(schema=schema, rules=rules, names=names, same=(*mapping.file.same, *same), sort=sort)
