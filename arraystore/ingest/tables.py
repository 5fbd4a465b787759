"""Tables of CSV, Parquet and Arrow files as batches of columns, in bounded memory. One of the doors to pyarrow."""

# mypy: disable-error-code="import-untyped"

import codecs
import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from arraystore.errors import InvalidInput, Problem
from arraystore.frames.arrow import pyarrow
from arraystore.ingest.mapping import FileRule, Source
from arraystore.ingest.sources import LINE_LIMIT, Member, Stream, kind_of

BLOCK_BYTES = 4 << 20
HEAD_BYTES = 1 << 16
BATCH_ROWS = 1 << 17
BOM = b"\xef\xbb\xbf"
SHOWN = 400
LINE_END = re.compile(rb"\r\n|\n|\r")


NESTED = re.compile(r"^(.+?)(?=[.\[])")
STEP = re.compile(r"\[(\d+)\]|\.([^.\[]+)")

type Places = dict[Source, tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows: Arrow arrays by what the mapping calls their columns."""

    columns: dict[Source, Any]
    count: int

    def take(self, rows: np.ndarray) -> "Batch":
        """The rows of these numbers."""
        chosen = pyarrow().array(rows)
        return Batch({name: array.take(chosen) for name, array in self.columns.items()}, len(rows))


def texts_of(array: Any) -> tuple[list[str], np.ndarray]:
    """The different texts of an array, and the place among them of each row's; null is the empty text."""
    pa = pyarrow()
    coded = array if pa.types.is_dictionary(array.type) else array.cast(pa.string()).dictionary_encode()
    texts = ["" if text is None else str(text).strip() for text in coded.dictionary.to_pylist()]
    codes = coded.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False)
    return [*texts, ""], codes.astype(np.int64)


def chosen_rows(batch: Batch, where: Mapping[str, tuple[str, ...]], unless: Mapping[str, tuple[str, ...]]) -> Batch:
    """The rows whose texts are among those of `where`, in every column that it names, and in none among those of `unless`."""
    if not where and not unless:
        return batch
    kept = np.ones(batch.count, np.bool_)
    for rules, wanted in ((where, True), (unless, False)):
        for name, values in rules.items():
            texts, codes = texts_of(batch.columns[name])
            kept &= (np.array([text in values for text in texts])[codes]) == wanted
    return batch if kept.all() else batch.take(np.flatnonzero(kept))


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
                decimal_point=self.rule.decimal,
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
        for batch in reader:
            yield Batch({name: batch.column(positions.index(place)) for name, place in self.wanted.items()}, batch.num_rows)


def read_csv(stream: Stream, member: Member, rule: FileRule, reads: Mapping[Source, str], probe: Source | None) -> CsvTable | None:
    """Take a CSV file's header from the stream; None if no row follows. `probe` is a column of numbers, for files that may have none."""
    before = rule.skip
    for number in range(rule.skip):
        _next_line(stream, member, number)
    first = _next_line(stream, member, before)
    if before == 0:
        _check_mark(first, member)
        first = first.removeprefix(BOM)
    while first and not first.strip(b"\r\n"):
        before += 1
        first = _next_line(stream, member, before)
    if not stream.position:
        raise InvalidInput(Problem(member.label, "is empty: fetch it again, or leave it out"))
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


def _check_mark(first: bytes, member: Member) -> None:
    """What isn't text of one byte a letter says so in its first bytes."""
    if found := kind_of(first):
        raise InvalidInput(Problem(member.label, f"isn't text, but {found}: unpack it first, or say file.format"))
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InvalidInput(Problem(member.label, "is UTF-16 text: say encoding = 'utf-16' under [file]"))


def _next_line(stream: Stream, member: Member, number: int) -> bytes:
    """The next line with its end."""
    head, size = b"", HEAD_BYTES
    while True:
        data = stream.read(size)
        head += data
        size = len(head)  # twice as much each time, so that a long line isn't searched over and over
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
    bare = [name.strip() for name in names]
    for source in wanted:
        if isinstance(source, int):
            if 1 <= source <= len(names):
                places[source] = source - 1
            else:
                problems.append(Problem(where, f"has no column {source}; it has {len(names)}, counted from 1"))
        elif names.count(source) == 1:
            places[source] = names.index(source)
        elif source not in names and bare.count(source) == 1:
            places[source] = bare.index(source)
        elif source in names:
            at = [str(place + 1) for place, name in enumerate(names) if name == source]
            problems.append(Problem(where, f"has more than one column {source!r}: give the number of the one meant, {' or '.join(at)}"))
        else:
            problems.append(
                Problem(where, f"has no column {source!r}; it has {', '.join(names[:40])[:SHOWN]}: is the mapping for other files?")
            )
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
        # Buffered ahead, column chunks are kept until the file is closed: memory would grow with it.
        with pq.ParquetFile(member.path, pre_buffer=False) as file:
            places = _typed_places(file.schema_arrow.names, wanted, member.label)
            names = [file.schema_arrow.names[place] for place, _ in places.values()]
            for batch in file.iter_batches(BATCH_ROWS, columns=sorted(set(names))):
                yield _picked(batch, file.schema_arrow.names, places, member)
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(Problem(member.label, f"can't be read as Parquet ({error}): fetch it again; nothing was committed")) from error


def read_arrow(stream: Stream, member: Member, wanted: tuple[Source, ...]) -> Iterator[Batch]:
    """The rows of an Arrow IPC file or stream."""
    pa = pyarrow()
    try:
        start = stream.read(8)
        if start.startswith(b"FEA1"):
            raise InvalidInput(Problem(member.label, "is Feather of version 1: write it anew, as Feather 2 or Parquet"))
        if start.startswith(b"ARROW1") and not stream.is_packed:
            with pa.memory_map(str(member.path)) as mapped, pa.ipc.open_file(mapped) as file:
                places = _typed_places(file.schema.names, wanted, member.label)
                for number in range(file.num_record_batches):
                    yield from _pieces(file.get_batch(number), file.schema.names, places, member)
            return
        if start.startswith(b"ARROW1"):
            raise InvalidInput(Problem(member.label, "is an Arrow file within an archive, which can't be read in one go: unpack it first"))
        stream.push_back(start)
        with pa.ipc.open_stream(pa.PythonFile(stream, "r")) as reader:
            places = _typed_places(reader.schema.names, wanted, member.label)
            for batch in reader:
                yield from _pieces(batch, reader.schema.names, places, member)
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(Problem(member.label, f"can't be read as Arrow ({error}): fetch it again; nothing was committed")) from error


def _typed_places(names: list[str], wanted: tuple[Source, ...], where: str) -> Places:
    """Where the columns lie, and how to go on within one that has others inside it (`bids[0].price`)."""
    paths: dict[Source, tuple[Source, str]] = {}
    for source in wanted:
        outer = next((match[1] for match in (NESTED.match(str(source)),) if match), "")
        inside = isinstance(source, str) and source not in names and outer in names
        paths[source] = (outer, str(source)[len(outer) :]) if inside else (source, "")
    outers = resolve(tuple(names), tuple(dict.fromkeys(outer for outer, _ in paths.values())), where)
    return {source: (outers[outer], path) for source, (outer, path) in paths.items()}


def _inside(array: Any, path: str, where: str) -> Any:
    """What lies within a column of structures or lists; null where a list is too short."""
    import pyarrow.compute as pc

    pa = pyarrow()
    for index, field in STEP.findall(path):
        if field and pa.types.is_struct(array.type) and array.type.get_field_index(field) >= 0:
            array = pc.struct_field(array, field)
        elif index and (pa.types.is_list(array.type) or pa.types.is_large_list(array.type) or pa.types.is_fixed_size_list(array.type)):
            one = pc.list_slice(array, int(index), int(index) + 1)
            items = pc.list_flatten(one)
            rows = np.full(len(one), -1, np.int64)
            rows[np.asarray(pc.list_parent_indices(one))] = np.arange(len(items))
            array = items.take(pa.array(rows, mask=rows < 0))
        else:
            raise InvalidInput(Problem(where, f"has no {path!r} within a column of {array.type}"))
    return array


def _pieces(batch: Any, names: list[str], places: Places, member: Member) -> Iterator[Batch]:
    for start in range(0, batch.num_rows, BATCH_ROWS):
        yield _picked(batch.slice(start, BATCH_ROWS), names, places, member)


def _picked(batch: Any, names: list[str], places: Places, member: Member) -> Batch:
    chosen = {source: _inside(batch.column(names[place]), path, member.label) for source, (place, path) in places.items()}
    return Batch(chosen, batch.num_rows)
