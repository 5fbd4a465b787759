"""The rows of one vendor file, batch by batch, as its mapping says; what can't be taken is named to the line."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arraystore.arrow import pyarrow
from arraystore.errors import InvalidInput, Problem
from arraystore.ingest.converter import Converter, Guard
from arraystore.ingest.locate import locate
from arraystore.ingest.mapping import Mapping
from arraystore.ingest.sources import Member, Stream, members_of, opened
from arraystore.ingest.tables import Batch, CsvTable, read_arrow, read_csv, read_parquet
from arraystore.rows import Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A member of a file, and how its rows are made."""

    member: Member
    converter: Converter


def members(path: Path, mapping: Mapping) -> list[Member]:
    """The tables that a file holds."""
    if mapping.file.format == "parquet":
        return [Member(path=path)]
    return members_of(path, mapping.file.member)


def read_rows(parts: list[Part], mapping: Mapping, *, threads: bool) -> Iterator[Rows]:
    """The rows of all parts of a file, in order, a few megabytes at a time."""
    first_row = 0
    for part in parts:
        guard = Guard()
        for rows in _rows_of(part, mapping, guard, first_row, threads=threads):
            first_row += rows.count
            yield rows


def _rows_of(part: Part, mapping: Mapping, guard: Guard, first_row: int, *, threads: bool) -> Iterator[Rows]:
    member, converter = part.member, part.converter
    if mapping.file.format == "parquet":
        yield from _checked(read_parquet(member, tuple(converter.reads)), part, guard, first_row)
        return
    with opened(member, mapping.file.encoding) as stream:
        match mapping.file.format:
            case "arrow":
                yield from _checked(read_arrow(stream, member, tuple(converter.reads)), part, guard, first_row)
            case "dbn":
                from arraystore.ingest.dbn import read_dbn

                yield from _checked(read_dbn(stream, member, tuple(converter.reads)), part, guard, first_row)
            case _:
                table = read_csv(stream, member, mapping.file, converter.reads, converter.probe)
                if table is not None:
                    yield from _csv_rows(table, stream, part, guard, first_row, threads=threads)


def _csv_rows(table: CsvTable, stream: Stream, part: Part, guard: Guard, first_row: int, *, threads: bool) -> Iterator[Rows]:
    """The rows of a CSV table; on an error the file is read again to find the line."""
    pa = pyarrow()
    done = first_row
    try:
        for batch in table.batches(pa.PythonFile(stream, "r"), threads=threads):
            rows = part.converter.rows(batch, guard, done)
            done += batch.count
            yield rows
    except (InvalidInput, pa.ArrowException, OSError) as error:
        if stream.failure is not None:
            raise stream.failure from error
        found = locate(part.member, part.converter, table, first_row)
        if found is None:
            problems = error.problems if isinstance(error, InvalidInput) else (Problem("file", str(error)),)
            found = InvalidInput([Problem(part.member.label, str(problem)) for problem in problems])
        raise found from error


def _checked(batches: Iterator[Batch], part: Part, guard: Guard, first_row: int) -> Iterator[Rows]:
    """The rows of a table of typed columns; the first row that can't be taken is named by its number."""
    done = 0
    for batch in batches:
        before = guard.copy()
        try:
            rows = part.converter.rows(batch, guard, first_row + done)
        except InvalidInput as error:
            place = _first_bad(batch, part, before, first_row + done)
            where = f"{part.member.label} row {done + place + 1}"
            raise InvalidInput([Problem(where, str(problem)) for problem in error.problems]) from error
        done += batch.count
        yield rows


def _first_bad(batch: Batch, part: Part, guard: Guard, first_row: int) -> int:
    """The last row of the shortest beginning that can't be taken."""
    good, bad = 0, batch.count
    while bad - good > 1:
        middle = (good + bad) // 2
        columns: dict[Any, Any] = {name: array[:middle] for name, array in batch.columns.items()}
        try:
            part.converter.rows(Batch(columns, middle), guard.copy(), first_row)
            good = middle
        except InvalidInput:
            bad = middle
    return bad - 1
