"""What changed from one version to another, told by digests: rows are decoded only where these can't be compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from arraystore.datasets.evolution import in_force
from arraystore.datasets.parts import load_parts
from arraystore.digest import LogicalDigest, combine
from arraystore.segments.index import ZoneIndex, load_index
from arraystore.segments.logical import digest_of_absent, digest_of_rows
from arraystore.segments.plan import Part, arrange
from arraystore.segments.reader import Selection, read
from arraystore.versions.commit import Pin
from arraystore.versions.log import Log
from arraystore.versions.state import State, WindowState
from layouts.evolution import widens
from layouts.naming import unescape
from layouts.schema import ArraySpec, Column, Schema
from layouts.windows import parse_window

type Pair = tuple[Any, Any]

WHAT_COLUMNS_SHARE = ("kind", "levels", "places")


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowDiff:
    """What changed in one window. Pairs are (before, after)."""

    window: str
    change: str  # added, removed or changed
    rows: tuple[int, int]
    columns: tuple[str, ...] = ()  # whose values differ: all of them where numbers of rows do
    completeness: tuple[str, str]
    coverage: Pair
    attributes: Mapping[str, Pair]


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """What changed from `before` to `after`. Pairs are (before, after), None for what wasn't there; false if nothing changed.

    `schema` is by `column <name>` or field. `artifacts` are pairs of SHA-256 by name, `state` is empty, `sealed` or `deleted`.
    """

    before: Pin
    after: Pin
    windows: tuple[WindowDiff, ...]
    schema: Mapping[str, Pair]
    attributes: Mapping[str, Pair]
    artifacts: Mapping[str, Pair]
    state: tuple[str, str]

    def __bool__(self) -> bool:
        return bool(self.windows or self.schema or self.attributes or self.artifacts) or self.state[0] != self.state[1]

    @property
    def rows(self) -> tuple[int, int]:
        """Rows of all windows that changed."""
        return sum(each.rows[0] for each in self.windows), sum(each.rows[1] for each in self.windows)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, pairs as lists; times in ns."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain


@dataclass(frozen=True)
class Side:
    """One of the two versions, and which columns and range of it are looked at."""

    log: Log
    state: State
    pin: Pin

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of all windows that the pin touches."""
        names = self.state.window_names()
        if self.state.schema is None or (self.pin.start is None and self.pin.end is None):
            return names
        return tuple(name for name in names if self.touches(name))

    def touches(self, window: str) -> bool:
        """Whether the pin's range meets a window."""
        found = parse_window(window)
        return (self.pin.end is None or found.start < self.pin.end) and (self.pin.start is None or found.stop > self.pin.start)

    def told(self, window: str) -> str:
        """What users call it."""
        return window if self.state.schema is not None else unescape(window)

    def schema_of(self, window: WindowState) -> Schema | None:
        """The schema that a window is read in; None for one that never had rows of a series."""
        if self.state.schema is not None or not window.segments:
            return in_force(self.state)
        return self.state.schemas[window.segments[-1].schema]


def compare(before: Side, after: Side) -> Diff:
    """What changed from one side to the other."""
    old, new = in_force(before.state), in_force(after.state)
    return Diff(
        before=before.pin,
        after=after.pin,
        windows=tuple(found for name in sorted({*before.names, *after.names}) if (found := _window(before, after, name)) is not None),
        schema=_pairs(_plain(old), _plain(new)),
        attributes=_pairs(before.state.attributes, after.state.attributes),
        artifacts=_pairs(*({name: entry.sha256 for name, entry in side.state.artifacts.items()} for side in (before, after))),
        state=(before.state.state, after.state.state),
    )


def _plain(schema: Schema | None) -> dict[str, Any]:
    """A schema's fields and columns, by name."""
    if schema is None:
        return {}
    fields = {
        name: msgspec.to_builtins(getattr(schema, name)) for name in ("name", "axis", "order", "window", "earlier_windows", "attributes")
    }
    return fields | {f"column {column.name}": msgspec.to_builtins(column) for column in schema.columns}


def _pairs(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Pair]:
    names = dict.fromkeys((*before, *after))
    return {name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)}


def _window(before: Side, after: Side, name: str) -> WindowDiff | None:
    """What changed in a window; None for nothing."""
    there = [name in side.state.window_names() for side in (before, after)]
    same_dataset = before.state.dataset == after.state.dataset
    if all(there) and same_dataset and before.state.summary(name).version == after.state.summary(name).version:
        return None
    old, new = before.state.window(name), after.state.window(name)
    with before.log.explained(before.state.version, (name,)), after.log.explained(after.state.version, (name,)):
        columns = _columns(before, after, old, new)
    found = WindowDiff(
        window=(after if there[1] else before).told(name),
        change="changed" if all(there) else "added" if there[1] else "removed",
        rows=(old.rows, new.rows),
        columns=columns,
        completeness=(old.completeness, new.completeness),
        coverage=(old.coverage, new.coverage),
        attributes=_pairs(old.attributes, new.attributes),
    )
    told = (found.rows, found.completeness, found.coverage)
    same = not found.columns and not found.attributes and all(first == second for first, second in told)
    return None if same and all(there) else found


def _columns(before: Side, after: Side, old: WindowState, new: WindowState) -> tuple[str, ...]:
    """Names of the columns whose values differ."""
    columns: dict[str, list[Column | None]] = {}
    for number, (side, window) in enumerate(((before, old), (after, new))):
        schema = side.schema_of(window)
        for column in schema.columns if schema is not None else ():
            columns.setdefault(column.name, [None, None])[number] = column
    if before.pin.columns and after.pin.columns:
        columns = {name: pair for name, pair in columns.items() if name in (*before.pin.columns, *after.pin.columns)}
    if old.rows != new.rows:
        return tuple(columns)
    if not old.rows or (before.state.dataset == after.state.dataset and old.segments == new.segments):
        return ()
    sides = (_Content(before, old), _Content(after, new))
    return tuple(name for name, (first, second) in columns.items() if _differs(sides, first, second))


def _differs(sides: Sequence["_Content"], first: Column | None, second: Column | None) -> bool:
    wide, narrow = (first, second) if first is not None else (second, None)
    assert wide is not None
    if narrow is not None:
        if any(getattr(wide, field) != getattr(narrow, field) for field in WHAT_COLUMNS_SHARE):
            return True
        if not widens(narrow.dtype, wide.dtype):
            wide, narrow = narrow, wide
        if not widens(narrow.dtype, wide.dtype):
            return True
    target = msgspec.structs.replace(wide, nullable=wide.nullable or narrow is None or narrow.nullable)
    return sides[0].digests(target) != sides[1].digests(target)


class _Content:
    """The rows of a window as its digests tell them."""

    def __init__(self, side: Side, window: WindowState) -> None:
        schema = side.schema_of(window)
        assert schema is not None, "a window with rows has a schema"
        self._schema = schema
        self._storage = side.log.storage
        parts = load_parts(side.log, side.state, window)
        clusters = arrange([part.entry for part in parts], schema)
        self._merges = any(cluster.merge for cluster in clusters)
        self._parts = [parts[number] for cluster in clusters for number in cluster.parts]
        self._by_key = parts

    def digests(self, column: Column) -> list[LogicalDigest]:
        """Of each array that the column would become, over all rows as they are read, with the column's type."""
        schema = msgspec.structs.replace(self._schema, columns=self._with_axis(column))
        specs = list(schema.arrays_of(column))
        if self._merges or any(_is_other(part.schema, column) for part in self._parts):
            rows = read(self._storage, self._by_key, schema, Selection(), columns=[column.name])
            return [digest_of_rows(rows, schema, spec) for spec in specs]
        return [combine(self._digest_of(part, schema, spec) for part in self._parts) for spec in specs]

    def _with_axis(self, column: Column) -> tuple[Column, ...]:
        return (column,) if column.name == self._schema.axis else (self._schema.column(self._schema.axis), column)

    def _digest_of(self, part: Part, schema: Schema, spec: ArraySpec) -> LogicalDigest:
        if part.rows is not None:
            return digest_of_rows(part.rows, schema, spec)
        index: ZoneIndex = load_index(self._storage, part.prefix, part.entry, part.schema)
        if spec.column in part.schema and spec.name in index.digests:
            return index.digests[spec.name]
        return digest_of_absent(spec, schema, index.rows, column_is_there=spec.column in part.schema)


def _is_other(schema: Schema, column: Column) -> bool:
    return column.name in schema and schema.column(column.name).dtype != column.dtype
