"""What columns of many datasets are together, if that changes no value of any of them."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import numpy as np

from arraystore import arguments
from arraystore.errors import InvalidInput, Problem
from layouts.schema import Column, Kind, Schema


def columns_of_all(schemas: Mapping[str, Schema], wanted: Iterable[str] | None, besides: Iterable[str]) -> tuple[Column, ...]:
    """The columns wanted (None: those that all schemas have, but `besides`), each of the type that holds what all of them hold.

    Raises `InvalidInput` with every column that isn't alike, naming who differs.
    """
    first = next(iter(schemas.values()))
    if wanted is None:
        shared = [name for name in first.names if name not in besides and all(name in schema for schema in schemas.values())]
    else:
        shared = [name for name in dict.fromkeys(arguments.columns(first, wanted)) if name not in besides]
    problems: list[Problem] = []
    found: list[Column] = []
    for name in shared:
        try:
            found.append(_together(name, schemas))
        except InvalidInput as error:
            problems += error.problems
    if problems:
        raise InvalidInput(problems)
    return tuple(found)


def _together(name: str, schemas: Mapping[str, Schema]) -> Column:
    lacking = [who for who, schema in schemas.items() if name not in schema]
    if lacking:
        raise InvalidInput(f"{arguments.some(tuple(lacking))} has no such column: choose columns that all of them have", f"column {name!r}")
    columns = {who: schema.column(name) for who, schema in schemas.items()}
    first = next(iter(columns.values()))
    for who, column in columns.items():
        if _nature(column) != _nature(first):
            told = f"{who} has it as {_told(column)}, where {next(iter(columns))} has {_told(first)}"
            raise InvalidInput(f"{told}, so that no type holds both as they are: read them apart", f"column {name!r}")
    dtypes = {np.dtype(column.dtype) for column in columns.values()}
    dtype = np.result_type(*dtypes)
    if dtype.kind == "f" and any(each.kind != "f" for each in dtypes):
        told = ", ".join(sorted(map(str, dtypes)))
        raise InvalidInput(f"it is {told} in one dataset or another, which no type holds exactly: read them apart", f"column {name!r}")
    nullable = any(column.nullable for column in columns.values())
    return msgspec.structs.replace(first, dtype=str(dtype), nullable=nullable) if first.kind is Kind.NUMBER else first


def _nature(column: Column) -> Any:
    """What two columns share whose values mean the same."""
    numbers = np.dtype(column.dtype).kind.replace("u", "i") if column.kind is Kind.NUMBER else None
    return column.kind, column.levels, column.places, dict(column.vocabulary), numbers


def _told(column: Column) -> str:
    levels = f" of {column.levels} levels" if column.levels else ""
    places = f" of {column.places} places" if column.places is not None else ""
    codes = f" {dict(column.vocabulary)}" if column.vocabulary else ""
    return f"{column.kind}{f' {column.dtype}' if column.kind is Kind.NUMBER else ''}{levels}{places}{codes}"
