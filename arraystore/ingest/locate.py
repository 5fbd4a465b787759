"""Finding the line that can't be taken, and saying what is wrong with it: the same reading, on ever fewer lines."""

import re
from collections.abc import Iterator
from itertools import islice

from arraystore.errors import InvalidInput, Problem
from arraystore.frames.arrow import pyarrow
from arraystore.ingest.divide import Divider, Progress
from arraystore.ingest.sources import Member, Stream, opened
from arraystore.ingest.tables import BLOCK_BYTES, HEAD_BYTES, CsvTable, read_csv

BLOCK_LINES = 1 << 16
SHOWN = 200
ROW = re.compile(r"^row \d+ (\(and \d+ more\) )?")
COUNT_ADVICE = (
    "correct the line, or say which lines count (comment, lines), how fields are quoted (quote, escape, multiline), "
    "or, where every line ends with a delimiter, name all columns (skip, header = false, columns)"
)
ARROW_ROW = re.compile(r"^In CSV column #(\d+): (Row #\d+: )?")


def locate(member: Member, divider: Divider, table: CsvTable, progress: Progress) -> InvalidInput | None:
    """The error of the first line that can't be taken, with its number and text; None if every line can. `progress` is that before it."""
    number, rule = table.lines_before, table.rule
    with opened(member, rule.encoding, comments=rule.comment, lines=rule.lines) as stream:
        read_csv(stream, member, rule, table.reads, divider.probe)
        records = _records(stream, rule.quote if rule.multiline else "")
        while block := list(islice(records, BLOCK_LINES)):
            if len(block[-1]) > BLOCK_BYTES:
                number += sum(record.count(b"\n") for record in block[:-1])
                told = f"is longer than {BLOCK_BYTES >> 20} MiB, more than a line may be: is it text, with line ends"
                more = ", and a quote that is never closed" if rule.multiline else ""
                return InvalidInput(Problem(f"{member.label} line {number + 1}", f"{told}{more}?"))
            before = progress.copy()
            if _problem(block, divider, table, progress) is not None:
                place = _first_bad(block, divider, table, before)
                bad = block[place]
                found = _problem(block[: place + 1], divider, table, before.copy())
                alone = _problem([bad], divider, table, before.copy())
                skipped = sum(record.count(b"\n") for record in block[:place])
                assert found is not None
                return _told(member, number + skipped + 1, bad, alone or found, table)
            number += sum(record.count(b"\n") for record in block)
    return None


def _records(stream: Stream, quote: str) -> Iterator[bytes]:
    """Lines with their ends; several lines where a quoted field goes on. One that is too long is cut short, and is the last."""
    pending, held, size, is_open = b"", [], 0, False
    while data := stream.read(HEAD_BYTES * 16):
        lines = (pending + data).split(b"\n")
        pending = lines.pop()
        for line in lines:
            held.append(line + b"\n")
            size += len(line) + 1
            is_open ^= bool(quote) and line.count(quote.encode()) % 2 == 1
            if not is_open:
                yield b"".join(held)
                held, size = [], 0
        if size + len(pending) > BLOCK_BYTES:
            break
    if held or pending:
        yield b"".join(held) + pending


def _problem(records: list[bytes], divider: Divider, table: CsvTable, progress: Progress) -> InvalidInput | None:
    """What is wrong with some records, if anything."""
    pa = pyarrow()
    if not any(record.strip(b"\r\n") for record in records):
        return None
    try:
        for batch in table.batches(pa.BufferReader(b"".join(records)), threads=False):
            divider.portions(batch, progress)
    except InvalidInput as error:
        return error
    except pa.ArrowException as error:
        return InvalidInput(Problem("line", str(error)))
    return None


def _first_bad(block: list[bytes], divider: Divider, table: CsvTable, progress: Progress) -> int:
    """The last line of the shortest beginning that can't be taken."""
    good, bad = 0, len(block)
    while bad - good > 1:
        middle = (good + bad) // 2
        if _problem(block[:middle], divider, table, progress.copy()) is None:
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
            advice = (
                "correct the line, or say in the mapping how it is to be read (null, words, unit, format, decimal, thousands, encoding)"
            )
            what = f"column {table.names[int(found[1])]!r}: {what[found.end() :]}; {advice}"
        elif "Expected" in what and "columns, got" in what:
            parsed = what.partition(":")[2].partition(":")[2].strip() or what
            what = f"{parsed.partition(': ')[0]}: {COUNT_ADVICE}"
        elif problem.where != "line":
            what = f"{problem.where}: {what}"
        problems.append(Problem(f"{member.label} line {number}", f"{what} — the line is {shown!r}"))
    return InvalidInput(problems)
