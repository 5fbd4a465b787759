"""What a vendor's files look like and what becomes of their columns: small TOML files, read into values (docs/ingest.md)."""

from collections.abc import Mapping as AnyMapping
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import msgspec

from arraystore.errors import InvalidInput, Problem
from layouts.columns import Column

type Value = str | int | float | bool
type Source = str | int
type Choice = Literal["error", "earlier", "later"]

UNITS: AnyMapping[str | None, int] = {"s": 9, "ms": 6, "us": 3, "ns": 0}
DAYS = "d"
TEXT_UNITS = ("iso", "format")
BY_SIZE = "by-size"
SUFFIX = ".toml"


class SchemaRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A shipped schema with its options, or one of the mapping's own (then `columns` are there)."""

    name: str
    options: dict[str, Any] = {}
    columns: tuple[Column, ...] = ()
    axis: str = "time"
    order: str = "time"
    window: str = "day"
    attributes: dict[str, Any] = {}


class FileRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the files are written, and what their names tell."""

    format: Literal["csv", "parquet", "arrow", "dbn"] = "csv"
    delimiter: str = ","
    quote: str = '"'
    escape: str = ""
    multiline: bool = False
    header: bool | Literal["maybe"] = True
    columns: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    skip: int = 0
    null: tuple[str, ...] = ("",)
    encoding: str = "utf-8"
    member: str = "*"
    name: str = ""
    date: str | tuple[str, ...] = "%Y-%m-%d"
    zone: str = "UTC"
    span: bool = False
    same: tuple[str, ...] = ()
    sort: bool = False
    decimal: str = "."
    thousands: str = ""
    comment: tuple[str, ...] = ()
    lines: str = ""
    where: dict[str, tuple[str, ...]] = {}
    unless: dict[str, tuple[str, ...]] = {}
    split: tuple[str, ...] = ()
    records: tuple[str, ...] = ()


class ColumnRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where one column of the dataset comes from: a column of the file, a constant, the row's number, or a count of levels."""

    source: Source | tuple[Source, ...] | None = msgspec.field(default=None, name="from")
    value: Value | None = None
    row: int | None = None
    tally: str | None = None
    unit: str | None = None
    format: str | None = None
    since: str | None = None
    zone: str | None = None
    gap: Choice = "error"
    fold: Choice = "error"
    plus: str | None = None
    scale: str | int | float | None = None
    words: dict[str, Value] = {}
    sign: dict[Literal["positive", "negative", "zero"], Value] = {}
    absolute: bool = False
    null: tuple[Value, ...] = ()
    fill: float | None = None
    join: str = " "
    round: str | None = None
    other: Value | None = None
    pad: int = 0

    @property
    def origins(self) -> tuple[str, ...]:
        """Which of the four ways are given; one must be."""
        given = {"from": self.source, "value": self.value, "row": self.row, "tally": self.tally}
        return tuple(name for name, what in given.items() if what is not None)


def _with_pairs(column: Any) -> Any:
    """A column as its Struct has it: the vocabulary, which a table says, as pairs."""
    if isinstance(column, dict) and isinstance(column.get("vocabulary"), dict):
        return {**column, "vocabulary": list(column["vocabulary"].items())}
    return column


class Mapping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How files of one kind become rows. A value: `digest` names it, and is part of what makes a repeated file known."""

    title: str = ""
    into: str = ""
    schema: SchemaRule | str
    file: FileRule = FileRule()
    parameters: dict[str, Value] = {}
    columns: dict[str, ColumnRule]

    @property
    def digest(self) -> str:
        """SHA-256 of what it says, whatever the layout of its file; the same in every release that reads it alike.

        Fields of the first release always count. Later ones count where they are given, so that a new option of the language doesn't make
        strangers of files that are in already.
        """
        said = msgspec.json.decode(msgspec.json.encode(self, order="deterministic"))
        for rule, given in ((said["file"], self.file), *((said["columns"][name], given) for name, given in self.columns.items())):
            for name in LATER_FIELDS[type(given)]:
                if getattr(given, name) == DEFAULTS[type(given)][name]:
                    del rule[name]
        return sha256(msgspec.json.encode(said)).hexdigest()

    @property
    def schema_rule(self) -> SchemaRule:
        """The schema's rule; a bare name has no options."""
        return SchemaRule(name=self.schema) if isinstance(self.schema, str) else self.schema


LATER_FIELDS: AnyMapping[type, tuple[str, ...]] = {
    FileRule: ("decimal", "thousands", "comment", "lines", "where", "unless", "split", "records"),
    ColumnRule: ("join", "round", "other", "pad"),
}
DEFAULTS: AnyMapping[type, AnyMapping[str, Any]] = {
    FileRule: {name: getattr(FileRule(), name) for name in LATER_FIELDS[FileRule]},
    ColumnRule: {name: getattr(ColumnRule(), name) for name in LATER_FIELDS[ColumnRule]},
}


def shipped_mappings() -> dict[str, str]:
    """The mappings that come with the package: names, and what each is for."""
    return {name: str(document["title"]) for name, document in sorted(_shipped().items())}


def _shipped() -> dict[str, dict[str, Any]]:
    import tomllib

    folder = Path(__file__).parent / "mappings"
    return {path.stem: tomllib.loads(path.read_text("utf-8")) for path in folder.glob(f"*{SUFFIX}")}


def load_mapping(given: "Mapping | AnyMapping[str, Any] | str | Path") -> tuple[str, Mapping]:
    """A mapping and what to call it: from its shipped name, a TOML file (a path, or text that ends in .toml), a dict or a Mapping."""
    if isinstance(given, Mapping):
        return "mapping", given
    if isinstance(given, AnyMapping):
        return "mapping", parse_mapping(given, "mapping")
    if isinstance(given, Path) or given.endswith(SUFFIX):
        return _from_file(Path(given))
    shipped = _shipped()
    if given not in shipped:
        nearest = get_close_matches(given, shipped, 1)
        advice = (
            f"did you mean {nearest[0]!r}?" if nearest else f"there are {', '.join(sorted(shipped))}; or give a file that ends in {SUFFIX}"
        )
        raise InvalidInput(Problem("mapping", f"no mapping {given!r} is shipped; {advice}"))
    return given, parse_mapping(shipped[given], given)


def _from_file(path: Path) -> tuple[str, Mapping]:
    import tomllib

    try:
        return path.stem, parse_mapping(tomllib.loads(path.read_text("utf-8")), str(path))
    except FileNotFoundError as error:
        raise InvalidInput(Problem("mapping", f"there is no file {str(path)!r}; give a TOML file, or the name of a shipped one")) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(Problem("mapping", f"{str(path)!r} isn't TOML ({error}); see docs/ingest.md")) from error


def parse_mapping(given: AnyMapping[str, Any], where: str) -> Mapping:
    """The mapping that a TOML document says, its fields and their types checked."""
    document = dict(given)
    schema = document.get("schema")
    if isinstance(schema, dict) and isinstance(schema.get("columns"), list):
        document["schema"] = {**schema, "columns": [_with_pairs(column) for column in schema["columns"]]}
    try:
        return msgspec.convert(document, Mapping)
    except msgspec.ValidationError as error:
        raise InvalidInput(Problem(f"mapping {where!r}", f"{error}; see docs/ingest.md for what a mapping may say")) from error
