"""What golden stores must say: kept as plain JSON beside them, from what was given to the writer, never from what was read."""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

type Json = dict[str, Any]


@dataclass(frozen=True)
class Golden:
    """A store that was committed, and is never made again."""

    name: str

    @property
    def place(self) -> Path:
        return Path(__file__).parent / self.name

    @property
    def store(self) -> Path:
        return self.place / "store"

    @property
    def expected(self) -> Path:
        return self.place / "expected.json"

    @property
    def digest(self) -> str:
        """What `digest_of` said when it was made."""
        return (self.place / "DIGEST").read_text().strip()

    def digest_now(self) -> str:
        return digest_of(self.store, self.expected)


FIRST, SECOND, THIRD = GOLDENS = Golden("golden-1"), Golden("golden-2"), Golden("golden-3")


class Plain(NamedTuple):
    """A column's rows as everybody agrees on them: stand-ins under nulls, objects for texts, bytes and labels; and what is valid."""

    data: np.ndarray
    valid: np.ndarray

    def rows(self, numbers: list[int]) -> "Plain":
        return Plain(self.data[numbers], self.valid[numbers])


def stand_in(column: Json) -> Any:
    """What a null looks like in a plain column, as the format page has it."""
    match column["kind"]:
        case "text" | "bytes":
            return b""
        case "dictionary":
            return None
        case "time":
            return np.iinfo(np.int64).min
    return np.nan if column["dtype"].startswith("float") else 0


def encode(column: Json, given: Any, count: int) -> Json:
    """One append's values of a column as JSON: numbers bit for bit."""
    valid = None
    if isinstance(given, tuple):
        given, valid = given
    if column["kind"] in ("text", "bytes", "dictionary") and given is not None:
        return {"values": [value.hex() if isinstance(value, bytes) else value for value in given]}
    if given is None:
        return {"nulls": count}
    if isinstance(given, range):
        return {"range": [given.start, given.step, len(given)]}
    array = np.array(given, column["dtype"])
    told = {} if valid is None else {"valid": "".join("01"[each] for each in valid)}
    return {"shape": list(array.shape), "dtype": column["dtype"], "hex": array.tobytes().hex(), **told}


def decode(column: Json, piece: Json) -> Plain:
    kind, dtype = column["kind"], np.dtype(object if column["kind"] in ("text", "bytes", "dictionary") else column["dtype"])
    if "nulls" in piece:
        shape = (piece["nulls"], column["levels"]) if "levels" in column else (piece["nulls"],)
        return Plain(np.full(shape, stand_in(column), dtype), np.zeros(piece["nulls"], bool))
    if "values" in piece:
        valid = np.array([value is not None for value in piece["values"]])
        plain = {"text": str.encode, "bytes": bytes.fromhex, "dictionary": str}[kind]
        values = [stand_in(column) if value is None else plain(value) for value in piece["values"]]
        return Plain(np.array([*values, None], object)[:-1], valid)
    if "range" in piece:
        start, step, count = piece["range"]
        return Plain((start + step * np.arange(count)).astype(dtype), np.ones(count, bool))
    given = np.dtype(piece.get("dtype", dtype))  # widened since, perhaps
    data = np.frombuffer(bytes.fromhex(piece["hex"]), given).reshape(piece["shape"]).astype(dtype)
    valid = np.array([digit == "1" for digit in piece.get("valid", "1" * len(data))])
    data[~valid] = stand_in(column)
    return Plain(data, valid)


class Expected:
    """One dataset: `told` as JSON, and all rows that were ever given to it, by series."""

    def __init__(self, golden: Golden, told: Json) -> None:
        self.golden = golden
        self.told = told
        self.name: str = told["class"]
        self.key = tuple(told["key"])
        self.versions = with_what_stays(told["versions"])
        self.columns = {name: {column["name"]: column for column in schema["columns"]} for name, schema in told["schemas"].items()}

    def __repr__(self) -> str:
        return f"{self.golden.name}-{self.name}-{'-'.join(self.key)}"

    def schema(self, window: str, version: Json) -> Json:
        """What a window (or series) is read in at one of the versions."""
        if history := self.told.get("history"):
            return history[version["schema"]]
        return self.told["schemas"].get(window) or self.told["schemas"][""]

    @cache  # noqa: B019 - as few as there are datasets
    def _all(self, series: str) -> dict[str, Plain]:
        found = {}
        for name, column in self.columns[series].items():
            pieces = [decode(column, piece) for piece in self.told["rows"].get(series, {}).get(name, [])]
            pieces = pieces or [decode(column, {"nulls": 0})]
            found[name] = Plain(np.concatenate([each.data for each in pieces]), np.concatenate([each.valid for each in pieces]))
        return found

    def rows(self, window: str, version: Json) -> dict[str, Plain]:
        """The rows of a window (or series) at one of the versions."""
        series = window if window in self.columns else ""
        numbers = [number for start, stop in version["windows"][window]["rows"] for number in range(start, stop)]
        columns = self.schema(window, version)["columns"]
        return {column["name"]: _as_of(self._all(series)[column["name"]].rows(numbers), column) for column in columns}


def _as_of(plain: Plain, column: Json) -> Plain:
    """Values that were widened later as they were before."""
    return plain if plain.data.dtype.hasobject else Plain(plain.data.astype(column["dtype"]), plain.valid)


@cache
def expected(golden: Golden) -> list[Expected]:
    return [Expected(golden, told) for told in json.loads(golden.expected.read_text())["datasets"]]


def all_expected() -> list[Expected]:
    return [each for golden in GOLDENS for each in expected(golden)]


def digest_of(*places: Path) -> str:
    """One digest of the names and bytes of all files."""
    whole = hashlib.sha256()
    for path in sorted(file for place in places for file in [place, *place.rglob("*")] if file.is_file()):
        whole.update(f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.relative_to(places[0].parent).as_posix()}\n".encode())
    return whole.hexdigest()


def only_changes(versions: list[Json]) -> list[Json]:
    """Each version as what it changes of the one before."""
    told, before = [], {}
    for version in versions:
        change = {name: value for name, value in version.items() if value != before.get(name)}
        if "windows" in change and not version["deleted"]:
            known = before.get("windows", {})
            change["windows"] = {name: state for name, state in version["windows"].items() if state != known.get(name)}
        told.append(change)
        before = version
    return told


def with_what_stays(changes: list[Json]) -> list[Json]:
    """Each version whole again."""
    versions: list[Json] = []
    for change in changes:
        before = versions[-1] if versions else {"windows": {}, "deleted": False}
        known = {} if change.get("deleted") else before["windows"]
        versions.append({**before, **change, "windows": {**known, **change.get("windows", {})}})
    return versions


def differences(found: dict[str, Any], wanted: dict[str, Plain]) -> list[str]:
    """How rows differ in any bit; `found` is of Plain, or of anything with `data` and `valid`."""
    if found.keys() != wanted.keys():
        return [f"columns {sorted(found)} where {sorted(wanted)} belong"]
    return [f"{name}: {found[name]} where {wanted[name]} belongs" for name in wanted if not _same(found[name], wanted[name])]


def _same(left: Any, right: Any) -> bool:
    if left.data.dtype != right.data.dtype or left.data.shape != right.data.shape or not np.array_equal(left.valid, right.valid):
        return False
    return left.data.tolist() == right.data.tolist() if right.data.dtype.hasobject else left.data.tobytes() == right.data.tobytes()


def ranges(numbers: list[int]) -> list[list[int]]:
    """Row numbers in order, as half-open runs."""
    found: list[list[int]] = []
    for number in numbers:
        if found and found[-1][1] == number:
            found[-1][1] = number + 1
        else:
            found.append([number, number + 1])
    return found
