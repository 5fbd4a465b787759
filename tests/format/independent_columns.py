"""Columns and segments (sections 5, 9 and 10), read from FORMAT.md alone: by stock Zarr, and once more from the zone index."""

import hashlib
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import google_crc32c
import numpy as np
import zarr
from numcodecs import blosc, zstd
from numcodecs.pcodec import PCodec

from tests.format.independent_records import MIB, Json, need, read_object, read_record

UNITS = {"hour": "h", "day": "D", "month": "M", "year": "Y"}
NULL_TIME = np.iinfo(np.int64).min
LARGEST, SMALLEST = np.iinfo(np.int64).max, np.iinfo(np.int64).min

type Arrays = dict[str, np.ndarray]


def is_ragged(column: Json) -> bool:
    return column["kind"] in ("text", "bytes")


def stand_in(column: Json) -> np.generic:
    """What lies under a null in the array that has one element per row."""
    if is_ragged(column):
        return np.uint32(0)
    dtype = np.dtype(column["dtype"])
    return dtype.type(np.nan if dtype.kind == "f" else {"time": NULL_TIME, "dictionary": -1}.get(column["kind"], 0))


def arrays_of(column: Json, rows: int) -> dict[str, tuple[str, tuple[int, ...] | None]]:
    """dtype and shape of each array that a column may become; no shape for the bytes of texts."""
    name = column["name"]
    shape = (rows, column["levels"]) if "levels" in column else (rows,)
    arrays = (
        {name: (column["dtype"], None), f"{name}_count": ("uint32", (rows,))} if is_ragged(column) else {name: (column["dtype"], shape)}
    )
    return arrays | ({f"{name}_valid": ("bool", (rows,))} if column.get("nullable") else {})


def clocks_of(schema: Json) -> list[str]:
    return [column["name"] for column in schema["columns"] if column["kind"] == "time" and "clock" in column]


@dataclass(frozen=True)
class Values:
    """A column's rows: an array, of objects for texts, bytes and labels; and which of them aren't null."""

    data: np.ndarray
    valid: np.ndarray

    def take(self, order: np.ndarray) -> "Values":
        return Values(self.data[order], self.valid[order])


def values_of(schema: Json, arrays: Arrays, labels: dict[str, list[str]], rows: int) -> dict[str, Values]:
    """What the arrays of a segment or tail say, after every check that section 5 allows."""
    allowed = {name for column in schema["columns"] for name in arrays_of(column, rows)}
    need(arrays.keys() <= allowed, f"arrays {arrays.keys() - allowed} are none of the schema's")
    present = {column["name"] for column in schema["columns"] if column["kind"] == "dictionary" and column["name"] in arrays}
    need(labels.keys() == present, f"labels of {sorted(labels)}")
    return {column["name"]: _values(column, arrays, labels.get(column["name"], []), rows) for column in schema["columns"]}


def _values(column: Json, arrays: Arrays, labels: list[str], rows: int) -> Values:
    name = column["name"]
    expected = arrays_of(column, rows)
    if name not in arrays:
        need(column.get("nullable") and not arrays.keys() & expected.keys(), f"{name} is missing")
        return nothing(column, rows)
    for each, (dtype, shape) in expected.items():
        need(each in arrays or each == f"{name}_valid", f"{each} is missing")
        found = arrays.get(each)
        need(found is None or (found.dtype == dtype and found.shape == (shape or (found.size,))), f"{each} is {found}")
    valid = arrays.get(f"{name}_valid", np.ones(rows, np.bool_))
    need(f"{name}_valid" not in arrays or (valid.any() and not valid.all()), f"{name}_valid says nothing")
    per_row = arrays[f"{name}_count"] if is_ragged(column) else arrays[name]
    below = per_row[~valid]
    need(below.tobytes() == np.full(below.shape, stand_in(column), below.dtype).tobytes(), f"{name} has something under a null")
    if is_ragged(column):
        return Values(_cut(arrays[name], arrays[f"{name}_count"], text=column["kind"] == "text"), valid)
    if column["kind"] == "dictionary":
        need(len(set(labels)) == len(labels), f"labels of {name} occur twice")
        need(((per_row >= 0) == valid).all() and (per_row < len(labels)).all(), f"codes of {name}")
        return Values(np.array([*labels, None], object)[per_row], valid)
    return Values(per_row, valid)


def _cut(data: np.ndarray, counts: np.ndarray, *, text: bool) -> np.ndarray:
    ends = np.cumsum(counts, dtype=np.int64).tolist()
    need((ends[-1] if ends else 0) == data.size, "bytes that belong to no row")
    whole = data.tobytes()
    pieces = [whole[end - count : end] for end, count in zip(ends, counts.tolist(), strict=True)]
    for piece in pieces if text else []:
        piece.decode()
    return np.array([*pieces, None], object)[:-1]


def nothing(column: Json, rows: int) -> Values:
    """A column that is null throughout."""
    if is_ragged(column) or column["kind"] == "dictionary":
        return Values(np.array([b"" if is_ragged(column) else None] * rows, object), np.zeros(rows, np.bool_))
    _, shape = arrays_of(column, rows)[column["name"]]
    return Values(np.full(shape, stand_in(column), column["dtype"]), np.zeros(rows, np.bool_))


def evolved(values: Values | None, column: Json, rows: int) -> Values:
    """A column as a later schema has it."""
    if values is None:
        return nothing(column, rows)
    if values.data.dtype in (np.dtype(object), np.dtype(column["dtype"])):
        return values
    wider = values.data.astype(column["dtype"])
    wider[~values.valid] = stand_in(column)
    return Values(wider, values.valid)


def joined(pieces: Sequence[Values], column: Json) -> Values:
    pieces = pieces or [nothing(column, 0)]
    return Values(np.concatenate([each.data for each in pieces]), np.concatenate([each.valid for each in pieces]))


def check_times(times: np.ndarray, window: str, schema: Json, entry: Json) -> None:
    """Rows lie in their window, and with `time` in order."""
    need(schema["order"] == "arrival" or (times[1:] >= times[:-1]).all(), f"{entry} isn't in order of time")
    if unit := UNITS.get(schema["window"]):
        names = times.astype("datetime64[ns]").astype(f"datetime64[{unit}]")
        need((names == np.datetime64(window, unit)).all(), f"{entry} has rows outside of {window}")


# --- section 10 -----------------------------------------------------------------------------------------------------


def logical_digest(data: bytes) -> str:
    return f"{len(data)}:{google_crc32c.value(data):08x}{zlib.crc32(data):08x}"


def bounds(times: np.ndarray, valid: np.ndarray) -> tuple[int, int]:
    """Minimum and maximum of what is valid; the first is larger where nothing is."""
    return int(times[valid].min(initial=LARGEST)), int(times[valid].max(initial=SMALLEST))


class Segment:
    """A segment that a commit's entry names; everything is proved when it is opened."""

    def __init__(self, place: Path, entry: Json, schema: Json) -> None:
        self.place, self.rows, self.schema = place, entry["rows"], schema
        path = place / schema["axis"] / "_index"
        record = read_record(path, "index")
        index = record.header
        need((record.digest, index["segment"], index["rows"]) == (entry["index"], entry["segment"], entry["rows"]), f"{path}")
        need(index["schema"] == schema and place.name == entry["segment"], f"{path} has another schema")
        self.labels, self.profile = index["labels"], index["profile"]
        self._tables = record.arrays(index["tables"])
        self._size = path.stat().st_size
        self._check_objects(index["objects"], index["arrays"])
        self.arrays = {each["array"]: self._decoded(each) for each in index["arrays"]}
        need(self._size == entry["bytes"], f"{place} has {self._size} bytes, not {entry['bytes']}")
        zones = dict(self._zones(index["arrays"]))
        need(zones.keys() == self._tables.keys(), f"{path} has tables {sorted(self._tables)}")
        need(all(np.array_equal(zones[name], self._tables[name]) for name in zones), f"{path}: what it says of chunks")
        need(self._spans() == entry["clocks"], f"{place}: clocks span {self._spans()}, not {entry['clocks']}")
        need(index["digests"] == self.digests(), f"{place}: logical digests")

    def values(self) -> dict[str, Values]:
        return values_of(self.schema, self.arrays, self.labels, self.rows)

    def by_zarr(self) -> Arrays:
        """The same arrays as stock Zarr reads them."""
        return {name: np.asarray(array[...]) for name, array in zarr.open_group(self.place, mode="r").arrays()}

    def digests(self) -> dict[str, str]:
        """The logical digest of every array of the schema, recomputed."""
        found = {}
        for column in self.schema["columns"]:
            name = column["name"]
            for each, (dtype, shape) in arrays_of(column, self.rows).items():
                if each == f"{name}_valid":
                    data = self.arrays.get(each, np.full(self.rows, name in self.arrays))
                elif column["kind"] == "dictionary":
                    hashes = [hashlib.sha256(label.encode()).digest()[:8] for label in self.labels.get(name, [])]
                    data = np.array([*hashes, bytes(8)], "V8")[self.arrays.get(name, np.full(self.rows, -1))]
                else:
                    data = self.arrays.get(each, np.full(shape or (0,), stand_in(column), dtype))
                found[each] = logical_digest(data.tobytes())
        return found

    def _check_objects(self, digests: dict[str, str], arrays: list[Json]) -> None:
        """Every object but the index has the SHA-256 that the index says, and there is no other."""
        found = {str(path.relative_to(self.place)) for path in self.place.rglob("*") if path.is_file()}
        need(digests.keys() == found - {f"{self.schema['axis']}/_index"}, f"objects of {self.place}")
        for path, digest in digests.items():
            need(hashlib.sha256(read_object(self.place / path)).hexdigest() == digest, f"{self.place / path}")
        self._size += sum((self.place / path).stat().st_size for path in ("zarr.json", *(f"{each['array']}/zarr.json" for each in arrays)))
        said = json.loads((self.place / "zarr.json").read_bytes())["attributes"]
        about = {"format": 1, "schema": self.schema, "segment": self.place.name}
        need(said == {"Conventions": "CF-1.11", "arraystore": about}, f"{self.place}/zarr.json")

    def _decoded(self, entry: Json) -> np.ndarray:
        """An array from its chunks as the index places them, each compared with its checksum and decoded here."""
        name, shape, chunk, shard = entry["array"], tuple(entry["shape"]), entry["chunk"], entry["shard"]
        offsets, lengths, checksums = (self._tables.pop(f"{name}:{table}") for table in ("offset", "length", "crc32c"))
        count, per_shard = -(-shape[0] // chunk), shard // chunk
        need(shard % chunk == 0 and offsets.shape == lengths.shape == checksums.shape == (count,), f"tables of {name}")
        pieces = [np.empty((0, *shape[1:]), entry["dtype"])]
        for first in range(0, count, per_shard):
            data = read_object(self.place / name / f"{first // per_shard}{'.0' * (len(shape) - 1)}")
            self._size += len(data)
            chunks, places, end = range(first, min(first + per_shard, count)), [], 0
            for number in chunks:
                need(offsets[number] == end, f"chunk {number} of {name} doesn't follow the one before")
                places.append((end, int(lengths[number])))
                stored, end = data[end : end + int(lengths[number])], end + int(lengths[number])
                need(
                    len(stored) == lengths[number] and int.from_bytes(stored[-4:], "little") == checksums[number],
                    f"chunk {number} of {name}",
                )
                need(google_crc32c.value(stored[:-4]) == checksums[number], f"checksum of chunk {number} of {name}")
                pieces.append(_decode(entry, stored[:-4], (chunk, *shape[1:])))
            table = np.array(places + [(2**64 - 1, 2**64 - 1)] * (per_shard - len(chunks)), "<u8").tobytes()
            need(data[end:] == table + google_crc32c.value(table).to_bytes(4, "little"), f"shard index of {name}")
        whole = np.concatenate(pieces)
        padding = whole[shape[0] :]
        need(len(padding) < chunk or not count, f"{name} has a chunk too many")
        last = whole[shape[0] - 1 : shape[0]].tobytes()
        need(padding.tobytes() == last * len(padding), f"padding of {name}")
        return whole[: shape[0]]

    def _zones(self, entries: Sequence[Json]) -> Iterator[tuple[str, np.ndarray]]:
        """What the index must say of each chunk's values."""
        for entry in entries:
            name, chunk = entry["array"], entry["chunk"]
            data = self.arrays[name]
            chunks = [slice(start, start + chunk) for start in range(0, len(data), chunk)]
            column = next(each for each in self.schema["columns"] if name in arrays_of(each, 0))
            if column["kind"] == "time" and "clock" in column and name == column["name"]:
                valid = self.arrays.get(f"{name}_valid", np.ones(self.rows, np.bool_))
                spans = np.array([bounds(data[each], valid[each]) for each in chunks])
                yield from ((f"{name}:min", spans[:, 0]), (f"{name}:max", spans[:, 1]))
            if is_ragged(column) and name == f"{column['name']}_count":
                yield f"{column['name']}:element", np.cumsum([0, *(int(data[each].sum(dtype=np.int64)) for each in chunks)])
            if name in self.labels and (count := len(self.labels[name])) <= 4096:
                used = np.array([np.isin(np.arange(count), data[each]) for each in chunks])
                yield f"{name}:codes", np.packbits(used, axis=1, bitorder="little")

    def _spans(self) -> dict[str, list[int]]:
        """First and last valid time of each clock that has any."""
        clocks = [name for name in clocks_of(self.schema) if name in self.arrays]
        found = {name: bounds(self.arrays[name], self.arrays.get(f"{name}_valid", np.ones(self.rows, np.bool_))) for name in clocks}
        return {name: [low, high] for name, (low, high) in found.items() if low <= high}


def _decode(entry: Json, payload: bytes, shape: tuple[int, ...]) -> np.ndarray:
    match entry["codec"]:
        case "pcodec":
            flat = PCodec().decode(payload)
            need(flat.dtype == entry["dtype"], f"{entry['array']} decodes to {flat.dtype}")
        case "blosc":
            flat = np.frombuffer(blosc.decompress(payload), entry["dtype"])
        case "zstd":
            flat = np.frombuffer(zstd.decompress(payload), entry["dtype"])
    need(flat.size == np.prod(shape) and flat.nbytes <= max(4 * MIB, flat[:1].nbytes * int(np.prod(shape[1:]))), f"a chunk of {entry}")
    return flat.reshape(shape)
