"""A reader written from layouts/FORMAT.md alone: it imports nothing of the code that writes stores, and believes nothing it can check.

Sections 2, 5 to 8 and 11 are here; records are in `independent_records`, columns and segments in `independent_columns`.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import google_crc32c
import numpy as np

from tests.format import independent_columns as columns
from tests.format.independent_records import (
    MIB,
    SEGMENT,
    VERSION,
    Damaged,
    Json,
    Record,
    decode_record,
    escape,
    need,
    read_group,
    read_record,
    unescape,
)

TEMPLATES = {"raw": 3, "canonical": 3, "quarantine": 3, "derived": 4, "experiments": 2, "execution-records": 3}
COMPLETENESS = ["open", "partial", "complete"]
FEATURES = {"window-lengths"}  # which change nothing for who reads windows by their names

# --- sections 2 and 5: stores and datasets --------------------------------------------------------------------------


class Store:
    def __init__(self, root: Path) -> None:
        said = read_group(root)
        need(set(said["roots"]) == set(TEMPLATES), "six classes")
        self.roots = {name: root / place for name, place in said["roots"].items()}
        for name, place in self.roots.items():
            need(read_group(place) == {"format": 1, "store": said["store"], "class": name}, place)

    def keys(self, name: str) -> list[tuple[str, ...]]:
        """Of every dataset of a class that exists."""
        level: list[tuple[tuple[str, ...], Path]] = [((), self.roots[name])]
        for _ in range(TEMPLATES[name]):
            below = [
                (key, sub, unescape(sub.name)) for key, place in level for sub in place.iterdir() if sub.is_dir() and not sub.is_symlink()
            ]
            level = [((*key, part), sub) for key, sub, part in below if part is not None]
        return sorted(key for key, place in level if (place / "zarr.json").is_file() and self.dataset(name, key).exists())

    def dataset(self, name: str, key: tuple[str, ...]) -> "Dataset":
        return Dataset(self.roots[name].joinpath(*map(escape, key)), name, key)


@dataclass
class Window:
    """The state of one window; `entries` as manifests have them."""

    entries: list[Json] = field(default_factory=list)
    completeness: str = "open"
    coverage: list[list[int]] = field(default_factory=list)
    attributes: Json = field(default_factory=dict)
    lineage: list[Json] = field(default_factory=list)
    version: int = 0


@dataclass
class State:
    """A dataset at one version."""

    dataset: str
    digest: str
    version: int = 0
    running_time: int = 0
    schemas: list[Json] = field(default_factory=list)
    schema: int | None = None
    profile: str = "dense"
    writers: Json = field(default_factory=dict)
    artifacts: Json = field(default_factory=dict)
    attributes: Json = field(default_factory=dict)
    segment_floor: int = 0
    state: str = ""
    windows: dict[str, Window] = field(default_factory=dict)

    def schema_of(self, window: str) -> Json:
        entries = self.windows[window].entries
        return self.schemas[entries[-1]["schema"] if self.schema is None else self.schema]


class Dataset:
    def __init__(self, place: Path, name: str, key: tuple[str, ...]) -> None:
        self.place, said = place, read_group(place)
        need((said["class"], tuple(said["key"])) == (name, key), f"{place} is the place of another dataset")
        self.birth = State(said["dataset"], hashlib.sha256((place / "zarr.json").read_bytes()).hexdigest())
        path = place / "_log" / "floor"
        floor = read_record(path, "floor").header if path.exists() else {"floor": 0, "digest": ""}
        self.floor: int = floor["floor"]
        self.floor_digest: str = floor["digest"]
        need(set(floor.get("requires", [])) <= {"packs"}, f"the floor needs {floor.get('requires')}")
        self.packs: list[list[int]] = floor.get("packs", [])
        ends = [end for pack in self.packs for end in pack]
        need(ends == sorted(ends) and all(first <= last for first, last in self.packs), f"packs {self.packs}")
        self.bound = max(self.floor, *ends, 0)

    # --- section 8: the head

    def _commit_path(self, version: int) -> Path:
        return self.place / "_log" / f"{version:020}"

    def head(self) -> int:
        """The newest version; 0 where there is none."""
        hint = self.place / "_log" / "latest"
        text = hint.read_text(errors="replace") if hint.is_file() else ""
        kept = sorted((int(path.name) for path in self.place.glob("_checkpoints/*") if VERSION.fullmatch(path.name)), reverse=True)
        starts = [int(text) if re.fullmatch("[0-9]{1,20}", text) else 0, self.bound + 1, *kept]
        low = next((v for v in starts if self._commit_path(v).exists() and (v > self.bound or v in kept)), 0)
        if not low:
            return 0
        step = 1
        while self._commit_path(low + step).exists():
            low, step = low + step, step * 2
        high = low + step
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._commit_path(middle).exists() else (low, middle)
        return low

    def exists(self) -> bool:
        return self.head() > 0 and self.state().state != "deleted"

    # --- sections 6 and 7: commits, folding, checkpoints

    def commit(self, version: int) -> Record:
        pack = next((pack for pack in self.packs if pack[0] <= version <= pack[1]), None)
        record = read_record(self._commit_path(version), "commit") if pack is None else self._packed(pack, version)
        need(set(record.header.get("requires", [])) <= FEATURES, f"version {version} needs {record.header.get('requires')}")
        need(record.header["version"] == version, f"version {record.header['version']} at {version}")
        return record

    def _packed(self, pack: list[int], version: int) -> Record:
        """A commit out of a pack (section 8)."""
        place = self.place / "_packs" / f"{pack[0]:020}-{pack[1]:020}"
        found = read_record(place, "pack")
        need([found.header["first"], found.header["last"]] == pack, f"{place} is another pack")
        arrays = found.arrays(found.header["arrays"])
        number, offset = version - pack[0], arrays["offset"]
        need(len(offset) == pack[1] - pack[0] + 2 and offset[0] == 0 and offset[-1] == len(arrays["records"]), f"the table of {place}")
        held = arrays["records"][offset[number] : offset[number + 1]].tobytes()
        line, header, body = held.partition(b"\n")[0] + b"\n", *map(int, held.partition(b"\n")[0].split()[4:])
        missing = len(line) + header + body - len(held)
        need(missing == 0 or (missing > 0 and len(held) + missing <= 4096), f"version {version} in {place}: its length")
        record = decode_record(held[: len(held) - body] + b" " * missing + held[len(held) - body :], "commit", place)
        need(record.digest == arrays["digest"][number].tobytes().hex(), f"version {version} in {place}")
        return record

    def state(self, version: int | None = None, *, from_checkpoint: bool = True) -> State:
        version = self.head() if version is None else version
        state = self._base(version) if from_checkpoint or self.floor else None
        state = state or State(self.birth.dataset, self.birth.digest)
        for number in range(state.version + 1, version + 1):
            fold(state, self.commit(number))
        return state

    def states(self) -> Iterator[State]:
        """The state at every version that is kept, each folded onto the one before."""
        state = self.checkpoint(self.floor, self.floor_digest) if self.floor else State(self.birth.dataset, self.birth.digest)
        for number in range(state.version + 1, self.head() + 1):
            state = replace(state, windows=dict(state.windows))
            fold(state, self.commit(number))
            yield state

    def _base(self, version: int) -> State | None:
        need(version > self.floor, f"version {version} is at or below the floor {self.floor}")
        pointer = self.commit(version).header.get("checkpoint")
        while pointer and pointer[0] > self.floor:
            try:
                return self.checkpoint(*pointer)
            except (Damaged, OSError):
                pointer = self.commit(pointer[0]).header.get("checkpoint")
        return self.checkpoint(self.floor, self.floor_digest) if self.floor else None

    def checkpoint(self, version: int, digest: str) -> State:
        record = read_record(self.place / "_checkpoints" / f"{version:020}", "checkpoint")
        said = record.header
        need((digest, version) == (record.digest, said["version"]), f"checkpoint {version} isn't the one that was named")
        need(said["birth"] == self.birth.digest, f"checkpoint {version} is of a dataset with another zarr.json")
        table = record.arrays(said["arrays"])
        same = {name: said[name] for name in ("dataset", "digest", "version", "running_time", "schemas", "schema", "profile", "writers")}
        state = State(**same, attributes=said["attributes"], segment_floor=said["segment_floor"], state=said["state"])
        state.artifacts = {entry["name"]: entry for entry in said["artifacts"]}
        names = [name.decode() for name in table["window"].tolist()]
        need(names == sorted(set(names)), "windows are sorted")
        for row, name in enumerate(names):
            header = read_record(self.place / "_manifests" / table["manifest"][row].decode(), "manifest")
            need(header.digest == table["manifest"][row].decode(), f"manifest of {name}")
            state.windows[name] = self._window(header.header, said, {column: values[row] for column, values in table.items()})
        return state

    def _window(self, told: Json, root: Json, row: Json) -> Window:
        window = Window(told.get("segments", []), told["completeness"], told.get("coverage", []))
        window.attributes, window.lineage, window.version = told.get("attributes", {}), told.get("lineage", []), told["version"]
        need((told["dataset"], told["window"].encode()) == (root["dataset"], row["window"]), "the manifest of another window")
        need(told["rows"] == row["rows"] == sum(entry["rows"] for entry in window.entries), "rows")
        need((sum(entry["bytes"] for entry in window.entries), told["version"]) == (row["bytes"], row["version"]), "bytes, version")
        need(COMPLETENESS.index(told["completeness"]) == row["completeness"] and told["clocks"] == spans(window.entries), "clocks")
        for clock in root["clocks"]:
            first, last = int(row[f"{clock}:first"]), int(row[f"{clock}:last"])
            need(told["clocks"].get(clock) == ([first, last] if first <= last else None), f"{clock} in the root")
        return window

    # --- reading rows

    def read(self, window: str, state: State) -> dict[str, columns.Values]:
        """The rows of a window in order, every column as of the schema in force."""
        schema, tables = state.schema_of(window), []
        for entry in state.windows[window].entries:
            own = state.schemas[entry["schema"]]
            table = self._tail(window, entry, own) if "tail" in entry else self.segment(window, entry, own).values()
            columns.check_times(table[own["axis"]].data, window, own, entry)
            tables.append({each["name"]: columns.evolved(table.get(each["name"]), each, entry["rows"]) for each in schema["columns"]})
        rows = {each["name"]: columns.joined([table[each["name"]] for table in tables], each) for each in schema["columns"]}
        order = np.argsort(rows[schema["axis"]].data, kind="stable")
        return {name: values.take(order) for name, values in rows.items()} if schema["order"] == "time" else rows

    def _tail(self, window: str, entry: Json, schema: Json) -> dict[str, columns.Values]:
        record = self.commit(entry["tail"])
        change = record.header["windows"][entry.get("place", 0)]
        need(change["window"] == window and record.digest == entry["index"], f"version {entry['tail']} isn't the one with the tail")
        tail = change["tail"]
        need(
            (tail["rows"], tail["clocks"], tail["schema"]) == (entry["rows"], entry["clocks"], entry["schema"]),
            "the tail of another commit",
        )
        tails = [change.get("tail", {"arrays": {}})["arrays"] for change in record.header["windows"]]
        arrays = record.arrays({(place, name): each for place, tail in enumerate(tails) for name, each in tail.items()})
        own = {name: array for (place, name), array in arrays.items() if place == entry.get("place", 0)}
        return columns.values_of(schema, own, tail.get("labels", {}), entry["rows"])

    def segment(self, window: str, entry: Json, schema: Json) -> columns.Segment:
        need(SEGMENT.fullmatch(entry["segment"]), entry)
        return columns.Segment(self.place / window / entry["segment"], entry, schema)

    def artifact(self, entry: Json) -> bytes:
        """The bytes of a file kept beside the rows (section 11)."""
        need(SEGMENT.fullmatch(entry["artifact"]), entry)
        place = self.place / "_artifacts" / entry["artifact"]
        index, data = read_record(place / "_index", "index"), (place / "data").read_bytes()
        said = (index.digest, index.header["bytes"], index.header["sha256"], index.header["block"])
        need(said == (entry["index"], entry["bytes"], entry["sha256"], MIB), entry)
        need((len(data), hashlib.sha256(data).hexdigest()) == (entry["bytes"], entry["sha256"]), f"{place}/data")
        blocks = [google_crc32c.value(data[start : start + MIB]) for start in range(0, len(data), MIB)]
        need(index.arrays(index.header["tables"])["crc32c"].tolist() == blocks, f"blocks of {place}/data")
        return data


# --- section 6: folding ---------------------------------------------------------------------------------------------


def fold(state: State, record: Record) -> None:
    commit = record.header
    creates, deletes = commit["operation"] == "create", commit.get("state") == "deleted"
    need((commit["version"], commit["previous"]) == (state.version + 1, state.digest), f"version {commit['version']} doesn't chain")
    need(creates or commit["dataset"] == state.dataset, f"version {commit['version']} is of dataset {commit['dataset']}")
    need(not creates or not state.version or state.state == "deleted", f"version {commit['version']} creates what is there")
    running_time = max(state.running_time, commit["time"])
    need(commit["running_time"] == running_time, "running time")
    if deletes:
        purged = {name: value for name, value in state.attributes.items() if name == "purged"}
        state.__dict__.update(vars(State(state.dataset, state.digest, segment_floor=state.segment_floor, attributes=purged)))
    if creates:
        state.dataset, state.state = commit["dataset"], ""
    state.version, state.digest, state.running_time = commit["version"], record.digest, running_time
    state.schemas = state.schemas + commit.get("schemas", [])
    state.schema = commit.get("schema", state.schema)
    need(state.schema is None or 0 <= state.schema < len(state.schemas), f"schema {state.schema}")
    state.profile, state.state = commit.get("profile", state.profile), commit.get("state", state.state)
    state.attributes = merged(state.attributes, commit.get("attributes", {}))
    kept = {name: entry for name, entry in state.artifacts.items() if name not in commit.get("removed_artifacts", [])}
    state.artifacts = kept | {entry["name"]: entry for entry in commit.get("artifacts", [])}
    if "token" in commit:
        state.writers = state.writers | {commit["token"][0]: [commit["token"][1], state.version]}
    changes = commit.get("windows", [])
    need(len({change["window"] for change in changes}) == len(changes), "a window twice")
    for place, change in enumerate(changes):
        need(unescape(change["window"]) is not None, f"{change['window']!r} isn't a window's name")
        change_window(state, change, record, place)
    state.segment_floor = max(state.segment_floor, commit.get("segment_floor", 0))


def change_window(state: State, change: Json, record: Record, place: int) -> None:
    before = state.windows.get(change["window"], Window())
    gone = change.get("remove", [])
    names = [entry.get("tail") or entry["segment"] for entry in before.entries]
    need(set(gone) <= set(names), f"{gone} aren't all among {names}")
    entries = [entry for entry, name in zip(before.entries, names, strict=True) if name not in gone]
    for number, entry in enumerate(change.get("add", [])):
        need(SEGMENT.fullmatch(entry["segment"]) and int(entry["segment"].split("-")[0]) >= state.segment_floor, entry)
        entries.append({**entry, "order": entry.get("order", [state.version, number])})
    if tail := change.get("tail"):
        need("add" not in change, "a tail and segments")
        size = sum(np.dtype(each["dtype"]).itemsize * int(np.prod(each["shape"])) for each in tail["arrays"].values())
        entry = {"schema": tail["schema"], "rows": tail["rows"], "clocks": tail["clocks"], "bytes": size, "index": record.digest}
        entries.append({**entry, "tail": state.version, **({"place": place} if place else {}), "order": [state.version, place]})
    entries.sort(key=lambda entry: entry["order"])
    need(all(0 <= entry["schema"] < len(state.schemas) and entry["rows"] > 0 for entry in entries), "schemas and rows of entries")
    need(len({tuple(entry["order"]) for entry in entries}) == len(entries), "two entries with one order key")
    need(len({entry.get("tail") or entry["segment"] for entry in entries}) == len(entries), "two entries with one name")
    tails = ["tail" in entry for entry in entries]
    need(tails == sorted(tails), "tails come last")
    fresh = Window() if change.get("reset") else before
    completeness = change.get("completeness", fresh.completeness)
    need(completeness in COMPLETENESS and not (completeness == "complete" and any(tails)), f"completeness {completeness}")
    state.windows[change["window"]] = Window(
        entries,
        completeness,
        union(fresh.coverage + change.get("coverage", [])),
        merged(fresh.attributes, change.get("attributes", {})),
        fresh.lineage + [pin for pin in record.header.get("inputs", []) if pin not in fresh.lineage],
        state.version,
    )


def merged(before: Json, change: Json) -> Json:
    return {name: value for name, value in {**before, **change}.items() if value is not None}


def union(intervals: list[list[int]]) -> list[list[int]]:
    found: list[list[int]] = []
    for start, stop in sorted(intervals):
        if found and start <= found[-1][1]:
            found[-1] = [found[-1][0], max(found[-1][1], stop)]
        else:
            found.append([start, stop])
    return found


def spans(entries: list[Json]) -> Json:
    clocks = sorted({clock for entry in entries for clock in entry["clocks"]})
    several = {clock: [entry["clocks"][clock] for entry in entries if clock in entry["clocks"]] for clock in clocks}
    return {clock: [min(first for first, _ in each), max(last for _, last in each)] for clock, each in several.items()}
