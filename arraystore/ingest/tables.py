"""Tables of CSV, Parquet and Arrow files as batches of columns, in bounded memory. One of the doors to pyarrow."""

# mypy: disable-error-code="import-untyped"

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from arraystore.arrow import pyarrow
from arraystore.errors import InvalidInput, Problem
from arraystore.ingest.mapping import FileRule, Source
from arraystore.ingest.sources import Member, Stream

BLOCK_BYTES = 4 << 20
HEAD_BYTES = 1 << 16
LINE_LIMIT = 16 << 20
BATCH_ROWS = 1 << 17
BOM = b"\xef\xbb\xbf"
LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows: Arrow arrays by what the mapping calls their columns."""

    columns: dict[Source, Any]
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvTable:
    """A CSV file whose beginning has been read: the columns it has, those wanted, and how many lines lie before the first row."""

    rule: FileRule
    names: tuple[str, ...]
    wanted: Mapping[Source, int]
    reads: Mapping[Source, str]
    lines_before: int

    def batches(self, source: Any, *, threads: bool) -> Iterator[Batch]:
        """The rows of text that begins with the first of them."""
        import pyarrow.csv as pc

        positions = sorted(set(self.wanted.values()))
        reader = pc.open_csv(
            source,
            read_options=pc.ReadOptions(
                column_names=[str(place) for place in range(len(self.names))], block_size=BLOCK_BYTES, use_threads=threads
            ),
            parse_options=pc.ParseOptions(
                delimiter=self.rule.delimiter,
                quote_char=self.rule.quote or False,
                escape_char=self.rule.escape or False,
                newlines_in_values=self.rule.multiline,
            ),
            convert_options=pc.ConvertOptions(
                include_columns=[str(place) for place in positions],
                column_types={str(place): arrow_type(self.reads[name]) for name, place in self.wanted.items()},
                null_values=list(self.rule.null),
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
        for batch in reader:
            yield Batch({name: batch.column(positions.index(place)) for name, place in self.wanted.items()}, batch.num_rows)


def read_csv(stream: Stream, member: Member, rule: FileRule, reads: Mapping[Source, str], probe: Source | None) -> CsvTable | None:
    """Take a CSV file's header from the stream; None if no row follows. `probe` is a column of numbers, for files that may have none."""
    lines = [_next_line(stream, member, number) for number in range(rule.skip)]
    before = len(lines)
    first = _next_line(stream, member, before)
    if not stream.position:
        raise InvalidInput(Problem(member.label, "is empty: fetch it again, or leave it out"))
    if before == 0:
        first = first.removeprefix(BOM)
    if not first and not _has_more(stream):
        return None
    fields = _fields(first, rule)
    has_header = rule.header is True or (rule.header == "maybe" and _is_header(fields, rule, probe))
    if has_header:
        names = tuple(fields)
    else:
        stream.push_back(first)
        names = _names_without_header(member, rule, fields)
    wanted = resolve(names, tuple(reads), f"{member.label} line {before + 1}" if has_header else member.label)
    if not _has_more(stream):
        return None
    return CsvTable(rule=rule, names=names, wanted=wanted, reads=reads, lines_before=before + has_header)


def _next_line(stream: Stream, member: Member, number: int) -> bytes:
    """The next line with its end."""
    head = b""
    while True:
        data = stream.read(HEAD_BYTES)
        head += data
        found = LINE_END.search(head)
        if found and (found.end() < len(head) or found.group() != b"\r"):
            stream.push_back(head[found.end() :])
            return head[: found.end()]
        if not data:
            return head
        if len(head) > LINE_LIMIT:
            what = f"has no end within {LINE_LIMIT >> 20} MiB: is it text, and of this encoding?"
            raise InvalidInput(Problem(f"{member.label} line {number + 1}", what))


def _has_more(stream: Stream) -> bool:
    """Whether anything but empty lines follows; takes nothing but those."""
    while data := stream.read(HEAD_BYTES):
        if data.strip(b"\r\n"):
            stream.push_back(data)
            return True
    return False


def _fields(line: bytes, rule: FileRule) -> list[str]:
    text = line.decode("utf-8", "replace").rstrip("\r\n")
    options = {"delimiter": rule.delimiter, "quotechar": rule.quote or None, "escapechar": rule.escape or None}
    quoting: Any = csv.QUOTE_MINIMAL if rule.quote else csv.QUOTE_NONE
    return next(csv.reader([text], quoting=quoting, **options), [])  # type: ignore[arg-type]


def _is_header(fields: list[str], rule: FileRule, probe: Source | None) -> bool:
    """Whether the field that should be a number has none of a number's digits first."""
    place = (
        rule.columns.index(probe)
        if isinstance(probe, str) and probe in rule.columns
        else int(probe or 1) - 1
        if isinstance(probe, int)
        else 0
    )
    return place >= len(fields) or not fields[place].strip().lstrip("+-.")[:1].isdigit()


def _names_without_header(member: Member, rule: FileRule, fields: list[str]) -> tuple[str, ...]:
    if not rule.columns:
        return tuple(str(number) for number in range(1, len(fields) + 1))
    least = len(rule.columns) - len(rule.optional)
    if not least <= len(fields) <= len(rule.columns):
        told = f"{least} to {len(rule.columns)}" if rule.optional else str(least)
        what = f"has {len(fields)} columns, where the mapping has {told} ({', '.join(rule.columns)}): is it another kind of file?"
        raise InvalidInput(Problem(f"{member.label} line {rule.skip + 1}", what))
    return rule.columns[: len(fields)]


def resolve(names: tuple[str, ...], wanted: tuple[Source, ...], where: str) -> dict[Source, int]:
    """Where the columns lie that a mapping wants, by name or number; raises with all that aren't there."""
    places: dict[Source, int] = {}
    problems = []
    for source in wanted:
        if isinstance(source, int):
            if 1 <= source <= len(names):
                places[source] = source - 1
            else:
                problems.append(Problem(where, f"has no column {source}; it has {len(names)}, counted from 1"))
        elif names.count(source) == 1:
            places[source] = names.index(source)
        else:
            told = "more than one column" if source in names else "no column"
            problems.append(Problem(where, f"has {told} {source!r}; it has {', '.join(names[:40])}: is the mapping for other files?"))
    if problems:
        raise InvalidInput(problems)
    return places


def arrow_type(reads: str) -> Any:
    """The Arrow type that a column of text is read as."""
    pa = pyarrow()
    kind, _, places = reads.partition(":")
    match kind:
        case "text":
            return pa.string()
        case "label":
            return pa.dictionary(pa.int32(), pa.string())
        case "decimal":
            return pa.decimal128(38, int(places))
        case "binary":
            return pa.large_binary()
        case "bool":
            return pa.bool_()
    return pa.type_for_alias(kind)


def read_parquet(member: Member, wanted: tuple[Source, ...]) -> Iterator[Batch]:
    """The rows of a Parquet file."""
    import pyarrow.parquet as pq

    pa = pyarrow()
    try:
        with pq.ParquetFile(member.path) as file:
            places = resolve(tuple(file.schema_arrow.names), wanted, member.label)
            names = [file.schema_arrow.names[place] for place in sorted(set(places.values()))]
            for batch in file.iter_batches(BATCH_ROWS, columns=names):
                yield _picked(batch, file.schema_arrow.names, places)
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(Problem(member.label, f"can't be read as Parquet ({error}): fetch it again; nothing was committed")) from error


def read_arrow(stream: Stream, member: Member, wanted: tuple[Source, ...]) -> Iterator[Batch]:
    """The rows of an Arrow IPC file or stream."""
    pa = pyarrow()
    try:
        start = stream.read(8)
        if start.startswith(b"ARROW1") and not member.name:
            with pa.memory_map(str(member.path)) as mapped, pa.ipc.open_file(mapped) as file:
                places = resolve(tuple(file.schema.names), wanted, member.label)
                for number in range(file.num_record_batches):
                    yield from _pieces(file.get_batch(number), file.schema.names, places)
            return
        stream.push_back(start)
        with pa.ipc.open_stream(pa.PythonFile(stream, "r")) as reader:
            places = resolve(tuple(reader.schema.names), wanted, member.label)
            for batch in reader:
                yield from _pieces(batch, reader.schema.names, places)
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(Problem(member.label, f"can't be read as Arrow ({error}): fetch it again; nothing was committed")) from error


def _pieces(batch: Any, names: list[str], places: dict[Source, int]) -> Iterator[Batch]:
    for start in range(0, batch.num_rows, BATCH_ROWS):
        yield _picked(batch.slice(start, BATCH_ROWS), names, places)


def _picked(batch: Any, names: list[str], places: dict[Source, int]) -> Batch:
    return Batch({source: batch.column(names[place]) for source, place in places.items()}, batch.num_rows)
