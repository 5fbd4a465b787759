"""How a dataset gets another schema, and what becomes of rows that were made for the one before."""

from collections.abc import Iterable

from arraystore.errors import Conflict, InvalidInput, Problem, WindowClosed
from arraystore.frames.rows import Rows, concat
from arraystore.versions.draft import Draft, draft_commit
from arraystore.versions.state import State
from layouts.cuts import window_of
from layouts.evolution import schema_change_problems, successor
from layouts.schema import Schema, validate_schema
from layouts.times import format_time
from layouts.windows import parse_window, window_at


def in_force(state: State) -> Schema | None:
    """The schema that new rows have; None for a dataset of several series."""
    return None if state.schema is None else state.schemas[state.schema]


def evolved(state: State, schema: Schema, window_from: int | None) -> Schema:
    """The schema that comes into force on this state; `InvalidInput` with every reason why it can't."""
    before = in_force(state)
    if before is None:
        raise InvalidInput("this dataset keeps several series: append to a series with its new schema", "schema")
    if not isinstance(schema, Schema):
        raise InvalidInput(validate_schema(schema))
    after = successor(before, schema, window_from)
    problems = (*validate_schema(after), *schema_change_problems(before, after))
    if not problems and after.earlier_windows != before.earlier_windows:
        problems = _windows_in_the_way(state, after)
    if problems:
        raise InvalidInput(problems)
    return after


def _windows_in_the_way(state: State, after: Schema) -> tuple[Problem, ...]:
    """Windows that are there, and end later than their length may."""
    until = after.earlier_windows[-1][1]
    names = [name for name in state.window_names() if parse_window(name).stop > until]
    if not names:
        return ()
    first = parse_window(names[-1]).stop
    for length in (after.earlier_windows[-1][0], after.window) * 2:
        found = window_at(length, first)
        first = first if found.start == first else found.stop
    told = f"windows of {after.window} can't begin at {format_time(until)}: {len(names)} windows up to {names[-1]!r} end later"
    return (Problem("window_from", f"{told}: the first moment that can be is {format_time(first)}"),)


def evolve_draft(state: State, role: str, schema: Schema, window_from: int | None, reason: str) -> Draft | None:
    """The commit that puts a schema in force; None if it is already."""
    if state.sealed:
        msg = f"dataset {state.dataset} is sealed since version {state.version}: write to a new one"
        raise WindowClosed(msg)
    if window_from is None and schema == in_force(state):
        return None
    after = evolved(state, schema, window_from)
    if after == in_force(state):
        return None
    known = after in state.schemas
    number = state.schemas.index(after) if known else len(state.schemas)
    return Draft(draft_commit("evolve", role, schemas=() if known else (after,), schema=number, reason=reason))


def settle(state: State, rows: Rows | None, series: str | None, written: Iterable[str]) -> Rows | None:
    """The rows as rows of the schema that they will lie under, though their writer knew only an earlier form of it.

    `written` names windows whose segments lie there already, as a stream made them. Raises `Conflict` where the dataset has changed
    in a way that these rows can't follow.
    """
    schema = in_force(state)
    if schema is not None and schema.earlier_windows:
        _refuse_other_cut(schema, written)
    if schema is None and rows is not None and series is not None:
        schema = _newest_of(state, series, rows.schema)
    if rows is None or schema is None or rows.schema is schema or rows.schema == schema:
        return rows
    if problems := schema_change_problems(rows.schema, schema):
        told = "; ".join(map(str, problems))
        now = f"schema {schema.name!r} as of version {state.version}"
        raise Conflict(f"these rows don't fit {now} ({told}): refresh and try again")
    return concat([rows], schema)


def _newest_of(state: State, series: str, given: Schema) -> Schema:
    """The later of a series' schema and that of rows for it."""
    entries = state.window(series).segments
    newest = state.schemas[entries[-1].schema] if entries else given
    return given if newest == given or not schema_change_problems(newest, given) else newest


def _refuse_other_cut(schema: Schema, written: Iterable[str]) -> None:
    for name in written:
        if window_of(schema, parse_window(name).start).name != name:
            msg = f"windows have another length since these rows were cut, and {name!r} isn't one any more: append them again"
            raise Conflict(msg)
