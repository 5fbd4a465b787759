"""What `lint` tells: rules of the layout, each with its reason, and one place that doesn't keep one as a value."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

SHOWN_LENGTH = 120


class Severity(StrEnum):
    """How much a deviation matters."""

    ERROR = "error"
    """A reader of the layout refuses it, or nobody could tell if it were damaged."""
    WARNING = "warning"
    """It can be read, and isn't what the layout says: slower, larger, or ambiguous."""
    ADVICE = "advice"
    """It is as the layout says; something else would serve better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One thing the layout says: `wanted`, in FORMAT.md `section`; `why`; and what to do where it isn't so."""

    name: str
    severity: Severity
    section: int
    wanted: str
    why: str
    remedy: str

    def broken(self, place: str, found: str, *, wanted: str = "", remedy: str = "") -> "Deviation":
        """The deviation at a place; what is wanted and to do there may be told more exactly."""
        return Deviation(
            place=place,
            rule=self.name,
            severity=self.severity,
            found=found,
            wanted=wanted or self.wanted,
            why=f"{self.why} (FORMAT.md section {self.section})",
            remedy=remedy or self.remedy,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """One thing that isn't as the layout says: where, which rule, what was found, what is wanted and why, and what to do."""

    place: str
    rule: str
    severity: Severity
    found: str
    wanted: str
    why: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.place}: {self.found}; {self.remedy}"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self) | {"severity": self.severity.value}


def shown(value: object) -> str:
    """A value that others wrote, short enough for a message."""
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= SHOWN_LENGTH else f"{text[: SHOWN_LENGTH - 1]}…"


_REWRITE = "append it to a dataset (`append` takes what xarray opened), which writes it as wanted"


def _rule(name: str, severity: Severity, section: int, wanted: str, why: str, remedy: str = _REWRITE) -> Rule:
    return Rule(name=name, severity=severity, section=section, wanted=wanted, why=why, remedy=remedy)


E, W, A = Severity.ERROR, Severity.WARNING, Severity.ADVICE

#: What any Zarr hierarchy can be held against, whoever wrote it.
ZARR_RULES = (
    _rule("not-zarr", E, 9, "a group or an array of Zarr v3", "nothing else can be read", "give the path of a Zarr group"),
    _rule("zarr-v2", E, 9, "Zarr format 3", "format 2 has neither shards, nor checksums, nor dimension names of its own"),
    _rule(
        "metadata",
        E,
        9,
        "a zarr.json of at most 16 MiB that is one JSON object, not deeply nested",
        "what can't be parsed within bounds isn't parsed at all",
        "write the metadata anew, or restore it",
    ),
    _rule(
        "link",
        E,
        1,
        "regular files and directories",
        "a link, a device or a pipe could lead a reader anywhere, so none is ever opened",
        "put the file itself there",
    ),
    _rule("too-many", E, 9, "a hierarchy of at most 10,000 nodes, 16 deep", "lint looks at no more", "lint its parts one by one"),
    _rule("extension", E, 9, "nothing that a reader must know beyond Zarr v3", "readers without the extension must refuse it"),
    _rule("shape", E, 9, "one or two dimensions of known lengths", "rows lie along the first dimension, levels along the second"),
    _rule("data-type", E, 5, "bool, int8 to int64, uint8 to uint64, float32 or float64", "other types differ between readers"),
    _rule(
        "object-codec",
        E,
        9,
        "codecs of plain numbers",
        "object codecs have no specification, and some (pickle) run code of whoever wrote the file when it is read",
        "don't read it unless you trust who wrote it; append its values as numbers, labels or text",
    ),
    _rule("lossy-codec", E, 9, "codecs that give back what was written", "the store never changes a value"),
    _rule("byte-order", E, 9, "little-endian bytes in C order", "readers take chunks straight into their result"),
    _rule("dimension-names", E, 9, "a name for each dimension", "xarray opens no array without, and rows couldn't be told from levels"),
    _rule("dimensions", E, 5, "rows along the axis' dimension, then `level`", "all arrays of a segment share their rows"),
    _rule("rows", E, 5, "as many rows in each array as on the axis", "row n of one array belongs to row n of all others"),
    _rule("axis", E, 5, "an axis: a time array named as the dimension of the rows", "windows, order and ranges are told by it"),
    _rule("ragged", E, 5, "texts as `<name>` over `<name>_byte`, beside `<name>_count`", "rows of bytes are found by their counts"),
    _rule(
        "name",
        E,
        5,
        "names of lower-case letters, digits and _, at most 64",
        "names must survive every file system and tool, and may be columns of Python",
        "rename it",
    ),
    _rule("time", E, 5, "int64 `nanoseconds since 1970-01-01`, proleptic_gregorian", "other units round, or mean another moment"),
    _rule(
        "cf-decoding",
        W,
        5,
        "no attribute by which CF readers change values",
        "xarray would mask or scale what was written; decimals are exact by division only",
        "drop the attribute; write nulls with a validity, and decimals as such",
    ),
    _rule("fill-value", W, 9, "fill value 0", "where a chunk is missing it reads as data, and a shard that is cut off as rows of it"),
    _rule("unsharded", W, 9, "one shard, holding all chunks up to 256 MiB", "a file per chunk is slow to list, copy, sync and delete"),
    _rule("shard-index", E, 9, "a shard's index at its end, with crc32c", "a flipped bit in it would read other bytes as the chunk"),
    _rule("checksum", E, 9, "crc32c after every chunk's codecs", "a flipped bit would read back as another value, without an error"),
    _rule(
        "codec", W, 9, "the codecs of the profile dense or portable", "these are the smallest, and the quickest to read, that were found"
    ),
    _rule("chunk-limit", E, 9, "chunks of at most 4 MiB, or of one row", "readers refuse what may take unknown memory"),
    _rule(
        "chunk-size", W, 9, "chunks of about 256 KiB (bytes of texts: 1 MiB)", "slices decode whole chunks, and tiny ones compress badly"
    ),
    _rule("chunk-padding", W, 9, "chunks no longer than the array", "what lies past the end is written and decoded in vain"),
    _rule("chunk-grid", E, 9, "a regular grid; shards of whole chunks; chunks over all levels", "a row must lie in one chunk"),
    _rule("shard-size", W, 9, "shards of at most 256 MiB decoded", "one object is written and copied as a whole"),
    _rule("chunk-keys", W, 9, "objects named `0`, `1`, … (`0.0` with levels) in the array", "one folder per array, and nothing below it"),
    _rule("chunks-missing", W, 9, "every chunk there", "one that was lost and one never written read alike: as fill values"),
    _rule(
        "consolidated",
        W,
        9,
        "metadata in each node only",
        "consolidated metadata isn't in the specification of Zarr v3, and goes stale unseen",
        "write with consolidated=False",
    ),
    _rule("conventions", A, 9, "`Conventions: CF-1.11` on the group", "it tells readers how attributes are meant"),
    _rule("nested", A, 9, "a group of arrays", "segments hold no groups", "each was looked at by itself"),
    _rule("stray", W, 9, "nothing but what the metadata names", "Zarr libraries warn of it, and nobody knows what it means", "remove it"),
    _rule(
        "schema",
        E,
        5,
        "schemas that keep the rules",
        "readers may misread rows",
        "append its rows to a dataset with a schema that does",
    ),
    _rule(
        "segment",
        E,
        9,
        "a segment as its own schema determines it",
        "readers trust schema and place of a segment, and refuse what differs",
        "verify the dataset; restore the segment, or append its rows anew",
    ),
)

#: What our own stores can be held against besides.
STORE_RULES = (
    _rule(
        "unreadable", E, 6, "a log that reads", "nothing of the dataset can be looked at", "verify tells more; restore it from a replica"
    ),
    _rule("misplaced", E, 5, "datasets and segments where their own metadata say", "what was copied elsewhere isn't a dataset there"),
    _rule(
        "key-case",
        W,
        3,
        "keys that differ in more than case",
        "on a file system that ignores case they would be one directory",
        "make one of them anew under another name",
    ),
    _rule("not-a-key", W, 3, "folders whose names are escaped parts of keys", "listings pass over it, so nobody will find it", "remove it"),
    _rule(
        "unborn",
        A,
        5,
        "a dataset with a first commit",
        "its making was begun and never finished",
        "create it, or remove the folder once no writer is at work",
    ),
    _rule(
        "temporary",
        A,
        1,
        "no unfinished files",
        "a writer that died left it; nothing reads it",
        "remove it once no writer is at work",
    ),
    _rule("staging", A, 1, "no scratch space that nobody uses", "it takes room; no surface lists it", "remove it once nobody works there"),
    _rule(
        "garbage",
        A,
        8,
        "only objects that a kept version names",
        "a writer died before its commit, or is at work; readers never see it",
        "leave it to garbage collection, or to its writer",
    ),
    _rule(
        "many-segments",
        A,
        9,
        "few segments in a window, best one",
        "each costs a reader an index and a file per column",
        "compact the window into one segment (`compact`)",
    ),
    _rule(
        "unfolded",
        W,
        6,
        "tails folded into segments at 256 or 1 MiB, and in complete windows",
        "tails lie in commits, where no other Zarr reader sees them",
        "compact the window (`compact`), or append to it, which folds them too",
    ),
    _rule(
        "older-schema",
        A,
        5,
        "segments of a window with the schema in force, where there are several",
        "a reader converts them each time, and other Zarr readers see them as they are",
        "compact the window (`compact`), which writes one segment with it",
    ),
    _rule(
        "mixed-profiles",
        A,
        9,
        "segments of the dataset's codec profile",
        "whoever counts on `portable` finds a codec that it may not have",
        "compact the window; one that has a single segment, replace by its own rows",
    ),
    _rule(
        "many-labels",
        A,
        10,
        "dictionary columns of few labels",
        "above 4,096 no chunk can be skipped by label, and labels used once are larger than text",
        "in the next dataset, make it a text column",
    ),
    _rule(
        "short-windows",
        A,
        3,
        "windows of 64 KiB and more",
        "documents and index take 10 to 20 KiB for each segment, and each window is read by itself",
        "give later windows another length: evolve(…, window_from=…)",
    ),
    _rule(
        "long-windows",
        A,
        3,
        "windows of at most 4 GiB and 64 Mi rows",
        "a correction or compaction writes a window as a whole",
        "give later windows another length: evolve(…, window_from=…)",
    ),
    _rule(
        "unfinished",
        A,
        6,
        "earlier windows told complete or partial",
        "readers can't tell whether more rows will come",
        "say so: update(window=…, completeness=…)",
    ),
)

RULES: Mapping[str, Rule] = MappingProxyType({rule.name: rule for rule in (*ZARR_RULES, *STORE_RULES)})


def deviation(rule: str, place: str, found: str, *, wanted: str = "", remedy: str = "") -> Deviation:
    """What is told of a place that doesn't keep a rule."""
    return RULES[rule].broken(place, found, wanted=wanted, remedy=remedy)


def rules_markdown() -> str:
    """The tables of docs/lint.md: every rule, with its severity, what is wanted and why."""
    lines = []
    for title, rules in (("Any Zarr group", ZARR_RULES), ("Datasets and stores", STORE_RULES)):
        lines += [f"## {title}", "", "| rule | severity | wanted | why | what to do | FORMAT.md |", "|---|---|---|---|---|---|"]
        lines += [f"| `{r.name}` | {r.severity} | {r.wanted} | {r.why} | {r.remedy} | {r.section} |" for r in rules]
        lines.append("")
    return "\n".join(lines)
