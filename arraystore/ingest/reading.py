"""The rows of one vendor file, batch by batch, as its mapping says; what can't be taken is named to the line."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arraystore.errors import InvalidInput, Problem
from arraystore.frames.arrow import pyarrow
from arraystore.ingest.divide import Divider, Progress
from arraystore.ingest.locate import locate
from arraystore.ingest.mapping import Mapping
from arraystore.ingest.portions import Portions
from arraystore.ingest.sources import Member, Stream, members_of, opened
from arraystore.ingest.tables import Batch, CsvTable, read_arrow, read_csv, read_parquet


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A member of a file, and how its rows are made."""

    member: Member
    divider: Divider


def members(path: Path, mapping: Mapping) -> list[Member]:
    """The tables that a file holds."""
    if mapping.file.format == "parquet":
        return [Member(path=path)]
    return members_of(path, mapping.file.member)


def read_rows(parts: list[Part], mapping: Mapping, progress: Progress, *, threads: bool) -> Portions:
    """The rows of all parts of a file, in order, a few megabytes at a time, each with where it goes; `progress` counts them."""
    for part in parts:
        seen = progress.next_table()
        yield from _rows_of(part, mapping, seen, threads=threads)
        progress.left_out = seen.left_out


def _rows_of(part: Part, mapping: Mapping, progress: Progress, *, threads: bool) -> Portions:
    member, reads = part.member, part.divider.reads
    if mapping.file.format == "parquet":
        yield from _checked(read_parquet(member, tuple(reads)), part, progress)
        return
    if mapping.file.format == "csv":
        with opened(member, mapping.file.encoding, comments=mapping.file.comment, lines=mapping.file.lines) as stream:
            table = read_csv(stream, member, mapping.file, reads, part.divider.probe)
            if table is not None:
                yield from _csv_rows(table, stream, part, progress, threads=threads)
        return
    with opened(member) as stream:
        if mapping.file.format == "arrow":
            yield from _checked(read_arrow(stream, member, tuple(reads)), part, progress)
        else:
            from arraystore.ingest.dbn import read_dbn

            yield from _checked(read_dbn(stream, member, tuple(reads), _records(mapping, part)), part, progress)


def _records(mapping: Mapping, part: Part) -> tuple[str, ...]:
    names = part.divider.example.names
    return tuple(names.fill(record, "file.records") for record in mapping.file.records)


def _csv_rows(table: CsvTable, stream: Stream, part: Part, progress: Progress, *, threads: bool) -> Portions:
    """The rows of a CSV table; on an error the file is read again to find the line."""
    pa = pyarrow()
    before = progress.copy()
    try:
        for batch in table.batches(pa.PythonFile(stream, "r"), threads=threads):
            yield from part.divider.portions(batch, progress)
    except (InvalidInput, pa.ArrowException, OSError) as error:
        if stream.failure is not None:
            raise stream.failure from error
        found = locate(part.member, part.divider, table, before)
        if found is None:
            problems = error.problems if isinstance(error, InvalidInput) else (Problem("file", str(error)),)
            found = InvalidInput([Problem(part.member.label, str(problem)) for problem in problems])
        raise found from error


def _checked(batches: Iterator[Batch], part: Part, progress: Progress) -> Portions:
    """The rows of a table of typed columns; the first row that can't be taken is named by its number."""
    done = 0
    for batch in batches:
        before = progress.copy()
        try:
            portions = part.divider.portions(batch, progress)
        except InvalidInput as error:
            place = _first_bad(batch, part, before)
            where = f"{part.member.label} row {done + place + 1}"
            raise InvalidInput([Problem(where, str(problem)) for problem in error.problems]) from error
        done += batch.count
        yield from portions


def _first_bad(batch: Batch, part: Part, progress: Progress) -> int:
    """The last row of the shortest beginning that can't be taken."""
    good, bad = 0, batch.count
    while bad - good > 1:
        middle = (good + bad) // 2
        columns: dict[Any, Any] = {name: array[:middle] for name, array in batch.columns.items()}
        try:
            part.divider.portions(Batch(columns, middle), progress.copy())
            good = middle
        except InvalidInput:
            bad = middle
    return bad - 1
