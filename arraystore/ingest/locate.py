"""Finding the line that can't be taken, and saying what is wrong with it: the same reading, on ever fewer lines."""

import re
from collections.abc import Iterator
from itertools import islice

from arraystore.arrow import pyarrow
from arraystore.errors import InvalidInput, Problem
from arraystore.ingest.converter import Converter, Guard
from arraystore.ingest.sources import Member, Stream, opened
from arraystore.ingest.tables import HEAD_BYTES, CsvTable, read_csv

BLOCK_LINES = 1 << 16
SHOWN = 200
ROW = re.compile(r"^row \d+ (\(and \d+ more\) )?")
ARROW_ROW = re.compile(r"^In CSV column #(\d+): (Row #\d+: )?")


def locate(member: Member, converter: Converter, table: CsvTable, first_row: int) -> InvalidInput | None:
    """The error of the first line that can't be taken, with its number and text; None if every line can."""
    guard, number, done = Guard(), table.lines_before, first_row
    with opened(member, table.rule.encoding) as stream:
        read_csv(stream, member, table.rule, table.reads, converter.probe)
        records = _records(stream, table.rule.quote if table.rule.multiline else "")
        while block := list(islice(records, BLOCK_LINES)):
            before = guard.copy()
            if _problem(block, converter, table, guard, done) is not None:
                place = _first_bad(block, converter, table, before, done)
                bad = block[place]
                found = _problem(block[: place + 1], converter, table, before.copy(), done)
                alone = _problem([bad], converter, table, before.copy(), done)
                skipped = sum(record.count(b"\n") for record in block[:place])
                assert found is not None
                return _told(member, number + skipped + 1, bad, alone or found, table)
            number += sum(record.count(b"\n") for record in block)
            done += sum(1 for record in block if record.strip(b"\r\n"))
    return None


def _records(stream: Stream, quote: str) -> Iterator[bytes]:
    """Lines with their ends; several lines where a quoted field goes on."""
    pending = b""
    held = b""
    while data := stream.read(HEAD_BYTES * 16):
        lines = (pending + data).split(b"\n")
        pending = lines.pop()
        for line in lines:
            held += line + b"\n"
            if not quote or held.count(quote.encode()) % 2 == 0:
                yield held
                held = b""
    if held or pending:
        yield held + pending


def _problem(records: list[bytes], converter: Converter, table: CsvTable, guard: Guard, first_row: int) -> InvalidInput | None:
    """What is wrong with some records, if anything."""
    pa = pyarrow()
    if not any(record.strip(b"\r\n") for record in records):
        return None
    try:
        for batch in table.batches(pa.BufferReader(b"".join(records)), threads=False):
            converter.rows(batch, guard, first_row)
            first_row += batch.count
    except InvalidInput as error:
        return error
    except pa.ArrowException as error:
        return InvalidInput(Problem("line", str(error)))
    return None


def _first_bad(block: list[bytes], converter: Converter, table: CsvTable, guard: Guard, first_row: int) -> int:
    """The last line of the shortest beginning that can't be taken."""
    good, bad = 0, len(block)
    while bad - good > 1:
        middle = (good + bad) // 2
        if _problem(block[:middle], converter, table, guard.copy(), first_row) is None:
            good = middle
        else:
            bad = middle
    return bad - 1


def _told(member: Member, number: int, record: bytes, error: InvalidInput, table: CsvTable) -> InvalidInput:
    text = record.decode("utf-8", "backslashreplace").rstrip("\r\n")
    shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
    problems = []
    for problem in error.problems:
        what = ROW.sub("", problem.what)
        if found := ARROW_ROW.match(what):
            advice = "correct the line, or say in the mapping how it is to be read (null, words, unit, format)"
            what = f"column {table.names[int(found[1])]!r}: {what[found.end() :]}; {advice}"
        elif problem.where != "line":
            what = f"{problem.where}: {what}"
        problems.append(Problem(f"{member.label} line {number}", f"{what} — the line is {shown!r}"))
    return InvalidInput(problems)
