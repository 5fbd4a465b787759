"""Records by someone who may write, and means harm: well framed, chained and digested, and naming what they must not.

Readers refuse them as corrupt or unsupported: soon, in little memory, and without a look beyond the dataset's own place.
"""

import hashlib
import tracemalloc
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

import arraystore
from arraystore.versions.record import pack_arrays
from layouts.naming import version_name
from tests.attack.power import Disk
from tests.attack.scenarios import KEY, PLAIN, canonical, filled, opened, plain
from tests.store.conftest import DAY, START

pytestmark = pytest.mark.timeout(30)

PLACE = "machine/canonical/venue/trades/X"
SEGMENT = "1-" + "0" * 32
MEMORY_BYTES = 32 << 20
CALLS = 300
DAY_NAME = "2024-08-08"


def framed(kind: str, head: bytes, body: bytes = b"") -> tuple[bytes, str]:
    digest = hashlib.sha256(head + body).hexdigest()
    return b"arraystore %b 1 %b %d %d\n%b%b" % (kind.encode(), digest.encode(), len(head), len(body), head, body), digest


def split(data: bytes) -> tuple[dict[str, Any], bytes, str]:
    """Header, body and digest of a record."""
    line, _, rest = data.partition(b"\n")
    words = line.split()
    return msgspec.json.decode(rest[: int(words[4])]), rest[int(words[4]) :], words[3].decode()


class Forger:
    """Writes the next commit of a dataset, and whatever it likes beside it."""

    def __init__(self) -> None:
        self.disk = Disk()
        filled(self.disk)
        self.version = canonical(self.disk).version
        self.header, _, self.digest = split(self.disk.live[f"{PLACE}/_log/{version_name(self.version)}"])

    def put(self, path: str, data: bytes) -> None:
        self.disk.live[f"{PLACE}/{path}"] = data

    def commit(self, body: bytes = b"", head: bytes | None = None, **fields: Any) -> None:
        keep = ("dataset", "role", "host", "process", "time", "running_time", "checkpoint")
        header = {name: self.header[name] for name in keep if name in self.header}
        header |= {"version": self.version + 1, "id": "f" * 32, "previous": self.digest, "operation": "append", **fields}
        data, self.digest = framed("commit", msgspec.json.encode(header) if head is None else head, body)
        self.version += 1
        self.put(f"_log/{version_name(self.version)}", data)

    def window(self, body: bytes = b"", **fields: Any) -> None:
        self.commit(body, windows=[{"window": DAY_NAME, **fields}])

    def segment(self, **fields: Any) -> None:
        entry = {"schema": 0, "rows": 3, "clocks": {"time": [START, START + 2]}, "bytes": 100, "segment": SEGMENT, "index": "0" * 64}
        self.window(add=[entry | fields])

    def tail(self, arrays: dict[str, np.ndarray] | None = None, describe: dict[str, Any] | None = None, **fields: Any) -> None:
        refs, pieces = pack_arrays(plain(3) if arrays is None else arrays)
        told = msgspec.to_builtins(refs) | (describe or {})
        self.window(b"".join(pieces), tail={"schema": 0, "rows": 3, "clocks": {"time": [START, START + 2]}, "arrays": told} | fields)

    def checkpoint(self, header: dict[str, Any] | None = None, table: dict[str, np.ndarray] | None = None, manifest: Any = None) -> None:
        """A checkpoint of the newest version, and a commit that names it."""
        segment = {"schema": 0, "rows": 3, "clocks": {"time": [START, START + 2]}, "bytes": 100, "order": [2, 0]}
        told = {"dataset": self.header["dataset"], "window": DAY_NAME, "version": self.version, "rows": 3, "completeness": "open"}
        told |= {"clocks": {"time": [START, START + 2]}, "segments": [segment | {"segment": SEGMENT, "index": "0" * 64}]}
        data, digest = framed("manifest", msgspec.json.encode(manifest(told, segment) if manifest else told))
        self.put(f"_manifests/{digest}", data)
        columns = {"window": np.array([DAY_NAME], "S"), "manifest": np.array([digest], "S64"), "rows": np.array([3])}
        columns |= {"bytes": np.array([100]), "version": np.array([self.version]), "completeness": np.array([0], np.uint8)}
        columns |= {"time:first": np.array([START]), "time:last": np.array([START + 2])} | (table or {})
        refs, pieces = pack_arrays({name: column for name, column in columns.items() if column is not None})
        record = {"version": self.version, "digest": self.digest, "dataset": self.header["dataset"], "time": self.header["time"]}
        record |= {"running_time": self.header["running_time"], "schemas": [msgspec.to_builtins(PLAIN)], "schema": 0, "profile": "dense"}
        record |= {"writers": {}, "artifacts": [], "attributes": {}, "segment_floor": 0, "state": "", "clocks": ["time"]}
        birth = hashlib.sha256(self.disk.live[f"{PLACE}/zarr.json"]).hexdigest()
        record |= {"birth": birth, "arrays": msgspec.to_builtins(refs)} | (header or {})
        data, digest = framed("checkpoint", msgspec.json.encode(record), b"".join(pieces))
        self.put(f"_checkpoints/{version_name(self.version)}", data)
        self.commit(checkpoint=[self.version, digest], operation="update")


type Forgery = Callable[[Forger], object]

WINDOW_NAMES = [
    "../../raw",
    "..",
    ".",
    "",
    "a/b",
    "/etc",
    "_log",
    "_artifacts",
    "zarr.json",
    "2024-13-01",
    "2024-08-08T25",
    "x" * 300,
    "\0",
    "=2E",
    "nonsense",
    5,
    None,
]
SEGMENT_NAMES = ["../../../raw/x", "..", "", "_log", f"{SEGMENT}/..", f"../{SEGMENT}", SEGMENT + "G", f"{SEGMENT}\n", f"-{SEGMENT}"]
SEGMENT_NAMES += ["9" * 30 + SEGMENT[1:], 5, None, ["a"]]
NUMBERS = [-1, 1 << 63, 1 << 64, 10**30, 1.5, "3", True, None, [3]]
SHAPES = [[-1], [1 << 62], [3, 1 << 62], [1 << 40, 0], [3] * 70, [1.5], "3", [], [0]]
DTYPES = ["|O", "<O8", "|V8", ">i8", "<M8[ns]", "<f16", "<c16", "|S9999", "i8,i8", "<i8\n", "object", "", "(2,)<i8", "<U4", 5]


def at_the_window() -> dict[str, Forgery]:
    cases: dict[str, Forgery] = {}
    for name in WINDOW_NAMES:
        cases[f"window {name!r:.20}"] = lambda f, name=name: f.window(window=name)
        cases[f"tail in window {name!r:.20}"] = lambda f, name=name: f.tail() or f.window(window=name)
    for name in SEGMENT_NAMES:
        cases[f"segment {name!r:.20}"] = lambda f, name=name: f.segment(segment=name)
        cases[f"remove {name!r:.20}"] = lambda f, name=name: f.window(remove=[name])
        cases[f"artifact {name!r:.20}"] = lambda f, name=name: f.commit(
            artifacts=[{"name": "x", "artifact": name, "bytes": 1, "sha256": "0" * 64, "index": "0" * 64}]
        )
    for value in [*NUMBERS, 0, 1 << 40]:
        cases[f"rows {value!r}"] = lambda f, value=value: f.segment(rows=value)
        cases[f"rows of a tail {value!r}"] = lambda f, value=value: f.tail(rows=value)
    for value in NUMBERS:
        cases[f"bytes {value!r}"] = lambda f, value=value: f.segment(bytes=value)
        cases[f"schema {value!r}"] = lambda f, value=value: f.segment(schema=value)
        cases[f"schema of a tail {value!r}"] = lambda f, value=value: f.tail(schema=value)
        cases[f"clock {value!r}"] = lambda f, value=value: f.segment(clocks={"time": [value, value]})
        cases[f"order {value!r}"] = lambda f, value=value: f.segment(order=[value, 0])
        cases[f"coverage {value!r}"] = lambda f, value=value: f.window(coverage=[[0, value]]) if value != -1 else f.segment()
        cases[f"size of an artifact {value!r}"] = lambda f, value=value: f.commit(
            artifacts=[{"name": "x", "artifact": SEGMENT, "bytes": value, "sha256": "0" * 64, "index": "0" * 64}]
        )
    cases["a segment that isn't there"] = lambda f: f.segment()
    cases["an artifact that isn't there"] = lambda f: f.commit(
        artifacts=[{"name": "x", "artifact": SEGMENT, "bytes": 1 << 50, "sha256": "0" * 64, "index": "0" * 64}]
    )
    cases["a tail as a segment"] = lambda f: f.segment(segment="", tail=2)
    cases["a segment of nothing"] = lambda f: f.segment(segment="")
    cases["completeness"] = lambda f: f.window(completeness="perfect")
    cases["attributes of a window"] = lambda f: f.window(attributes=[1])
    cases["removed twice"] = lambda f: f.window(remove=[4, 4, 99])
    return cases


def at_the_tail() -> dict[str, Forgery]:
    cases: dict[str, Forgery] = {}
    for shape in SHAPES:
        cases[f"shape {shape!r:.30}"] = lambda f, shape=shape: f.tail(describe={"size": {"dtype": "<f8", "shape": shape, "offset": 0}})
    for dtype in DTYPES:
        cases[f"dtype {dtype!r}"] = lambda f, dtype=dtype: f.tail(describe={"size": {"dtype": dtype, "shape": [3], "offset": 0}})
    for offset in [*NUMBERS, 24, 40, 1 << 40]:
        if offset != 24:
            cases[f"offset {offset!r}"] = lambda f, offset=offset: f.tail(
                describe={"size": {"dtype": "<f8", "shape": [3], "offset": offset}}
            )
    strange = {"dtype": "<f8", "shape": [3], "offset": 0}
    for name in ("../size", "strange", "size_valid", "time_valid", "size_count", ""):
        cases[f"array {name!r}"] = lambda f, name=name: f.tail(describe={name: strange})
    cases["missing column"] = lambda f: f.tail({"time": plain(3)["time"]})
    cases["missing axis"] = lambda f: f.tail({"size": np.zeros(3)})
    cases["another dtype"] = lambda f: f.tail({"time": plain(3)["time"], "size": np.zeros(3, np.float32)})
    cases["another length"] = lambda f: f.tail({"time": plain(3)["time"], "size": np.zeros(2)})
    cases["two dimensions"] = lambda f: f.tail({"time": plain(3)["time"], "size": np.zeros((3, 2))})
    cases["labels of a number"] = lambda f: f.tail(labels={"nothing": ["a"]}, rows=2)
    cases["lying clocks"] = lambda f: f.tail(clocks={"time": [0, START + 2]})
    cases["clocks of nobody"] = lambda f: f.tail(clocks={"time": [START, START + 2], "lunar": [0, 1]})
    cases["no clocks"] = lambda f: f.tail(clocks={})
    cases["times of another day"] = lambda f: f.tail(plain(3, start=START + DAY), clocks={"time": [START + DAY, START + DAY + 2]})
    return cases


def at_the_commit() -> dict[str, Forgery]:
    schema = msgspec.to_builtins(PLAIN)
    axis = schema["columns"][0]
    cases: dict[str, Forgery] = {
        "a feature": lambda f: f.commit(requires=["time-travel"]),
        "profile": lambda f: f.commit(profile="zip"),
        "state": lambda f: f.commit(state="haunted"),
        "another dataset": lambda f: f.commit(dataset="another"),
        "another predecessor": lambda f: f.commit(previous="0" * 64),
        "another version": lambda f: f.commit(version=2),
        "a version of the future": lambda f: f.commit(version=f.version + 2),
        "running time": lambda f: f.commit(running_time=0),
        "time": lambda f: f.commit(time=1 << 70, running_time=1 << 70),
        "schema in force": lambda f: f.commit(schema=9),
        "no operation": lambda f: f.commit(operation=None),
        "a header that is a list": lambda f: f.commit(head=b"[]"),
        "a header that is deep": lambda f: f.commit(head=b'{"attributes":' + b'{"a":' * 200_000 + b"1" + b"}" * 200_001),
        "a header that is deep in what nobody reads": lambda f: f.commit(head=b'{"x":' + b"[" * 200_000 + b"]" * 200_000 + b"}"),
        "a header with a number without end": lambda f: f.commit(head=b'{"version":' + b"9" * 100_000 + b"}"),
        "a header that isn't UTF-8": lambda f: f.commit(head=b'{"operation":"\xff\xfe"}'),
        "a header with a byte order mark": lambda f: f.commit(head=b"\xef\xbb\xbf{}"),
        "an empty header": lambda f: f.commit(head=b""),
        "half a header": lambda f: f.commit(head=b'{"version":3'),
        "a checkpoint of itself": lambda f: f.commit(checkpoint=[f.version + 1, "0" * 64]),
        "a checkpoint of the future": lambda f: f.commit(checkpoint=[f.version + 9, "0" * 64]),
        "a checkpoint below zero": lambda f: f.commit(checkpoint=[-1, "0" * 64]),
        "a checkpoint without end": lambda f: f.commit(checkpoint=[1 << 64, "0" * 64]),
        "schemas": lambda f: f.commit(schemas=[5]),
        "a segment from below the floor": lambda f: f.commit(segment_floor=99) or f.segment(),
    }
    for name, wrong in {
        "columns with a way out": {"columns": [axis, {"name": "../../x", "kind": "number", "dtype": "float64"}]},
        "columns without end": {"columns": [axis, {"name": "x", "kind": "number", "dtype": "float64", "levels": 1 << 40}]},
        "objects": {"columns": [axis, {"name": "x", "kind": "number", "dtype": "object"}]},
        "another kind": {"columns": [axis, {"name": "x", "kind": "magic", "dtype": "float64"}]},
        "twins": {"columns": [axis, axis]},
        "no axis": {"columns": []},
        "another order": {"order": "random"},
        "another window": {"window": "fortnight"},
    }.items():
        cases[f"a schema with {name}"] = lambda f, wrong=wrong: f.commit(schemas=[schema | wrong], schema=1)
    for value in NUMBERS:
        cases[f"token {value!r}"] = lambda f, value=value: f.commit(token=["w", value])
        cases[f"floor {value!r}"] = lambda f, value=value: f.commit(segment_floor=value) if value is not None else f.commit(state=5)
    return cases


def at_the_checkpoint() -> dict[str, Forgery]:
    def entries(**fields: Any) -> Callable[..., Any]:
        return lambda told, segment: told | {"segments": [segment | fields]}

    cases: dict[str, Forgery] = {}
    for name in WINDOW_NAMES[:-2]:
        text = np.array([str(name).encode()], "S300")
        cases[f"window {name!r:.20}"] = lambda f, text=text, name=name: f.checkpoint(
            table={"window": text}, manifest=lambda told, _, name=name: told | {"window": name}
        )
    for name in SEGMENT_NAMES:
        cases[f"segment {name!r:.20}"] = lambda f, name=name: f.checkpoint(manifest=entries(segment=name, index="0" * 64))
    for number in (0, 1, 99, -1, 1 << 62):
        cases[f"tail {number}"] = lambda f, number=number: f.checkpoint(manifest=entries(tail=number, index="0" * 64))
    cases["place of a tail"] = lambda f: f.checkpoint(manifest=entries(tail=2, place=77, index=canonical_digest(f, 2)))
    cases["rows of a tail"] = lambda f: f.checkpoint(manifest=entries(tail=2, rows=1 << 20, index=canonical_digest(f, 2)))
    cases["a tail that no tail is in"] = lambda f: f.checkpoint(manifest=entries(tail=1, index=canonical_digest(f, 1)))
    for column, value in {"rows": 2, "bytes": 99, "completeness": 1, "time:first": START + 1, "time:last": START + 1}.items():
        told = {column: np.array([value], np.uint8 if column == "completeness" else np.int64)}
        cases[f"a table that lies about {column}"] = lambda f, told=told: f.checkpoint(table=told)
    cases["a manifest that lies about its rows"] = lambda f: f.checkpoint(manifest=lambda told, _: told | {"rows": 7})
    cases["schema"] = lambda f: f.checkpoint(manifest=entries(segment=SEGMENT, index="0" * 64, schema=7))
    cases["rows"] = lambda f: f.checkpoint(manifest=entries(segment=SEGMENT, index="0" * 64, rows=1 << 60))
    cases["another window's manifest"] = lambda f: f.checkpoint(manifest=lambda told, _: told | {"window": "2024-08-09"})
    cases["another dataset's manifest"] = lambda f: f.checkpoint(manifest=lambda told, _: told | {"dataset": "another"})
    cases["a manifest of the future"] = lambda f: f.checkpoint(manifest=lambda told, _: told | {"version": 99})
    cases["a manifest that is a list"] = lambda f: f.checkpoint(manifest=lambda *_: [])
    for name, header in {"digest": {"digest": "0" * 64}, "dataset": {"dataset": "another"}, "birth": {"birth": "0" * 64}}.items():
        cases[f"a root of another {name}"] = lambda f, header=header: f.checkpoint(header=header)
    for name in ("../../zarr.json", "0" * 64, "x", "a/b"):
        cases[f"manifest {name[:20]!r}"] = lambda f, name=name: f.checkpoint(table={"manifest": np.array([name], "S64")})
    return cases


def beside_the_log() -> dict[str, Forgery]:
    """Checkpoints that can't be: the log stands by itself, so readers pass them over."""
    cases: dict[str, Forgery] = {}
    for name, column in {
        "unsorted": {
            "window": np.array(["b", "a"], "S"),
            **dict.fromkeys(("rows", "bytes", "version", "time:first", "time:last"), np.zeros(2, np.int64)),
        },
        "of another length": {"rows": np.array([1, 2])},
        "of another type": {"rows": np.array([1.0])},
        "with texts for numbers": {"rows": np.array(["1"], "S")},
        "with numbers for texts": {"window": np.array([1])},
        "without rows": {"rows": None},
        "more than complete": {"completeness": np.array([200], np.uint8)},
        "with two dimensions": {"window": np.array([[DAY_NAME]], "S")},
        "not ASCII": {"window": np.array([b"\xff\xfe"], "S")},
    }.items():
        cases[f"a table {name}"] = lambda f, column=column: f.checkpoint(table=column)
    for name, header in {
        "schema": {"schema": 7},
        "schemas": {"schemas": [], "schema": 0},
        "artifacts": {"artifacts": [{"name": "x", "artifact": "../../x", "bytes": 1, "sha256": "0", "index": "0"}]},
        "another version": {"version": 1},
        "clocks": {"clocks": ["../x"]},
        "writers": {"writers": {"w": [-1, 2]}},
        "floor": {"segment_floor": -1},
    }.items():
        cases[f"a root with {name}"] = lambda f, header=header: f.checkpoint(header=header)
    return cases


def canonical_digest(forger: Forger, version: int) -> str:
    return split(forger.disk.live[f"{PLACE}/_log/{version_name(version)}"])[2]


class Watched:
    """A storage that tells what it is asked for."""

    def __init__(self, storage: Any, calls: list[str]) -> None:
        self._storage = storage
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._storage, name)
        if not callable(found):
            return found

        def call(*args: Any, **options: Any) -> Any:
            self._calls.append(str(args[0]) if args else "")
            assert len(self._calls) < CALLS, "it goes on and on"
            return found(*args, **options)

        return call


def look(forger: Forger) -> list[str]:
    """Read all there is to read as a fresh reader; returns the keys that the storage was asked for."""
    calls: list[str] = []
    store = arraystore.open_store(
        "memory://machine", role="operations", opener=lambda url, /, *, create=False: Watched(forger.disk.opener(url, create=create), calls)
    )
    try:
        dataset = store.canonical[KEY]
        dataset.read()
        list(dataset.manifests())
        [artifact.read() for artifact in dataset.artifacts().values()]
    finally:
        outside = [key for key in calls if not key.startswith("venue/trades/X/") and key not in ("", "zarr.json", "venue", "venue/trades")]
        assert not [key for key in outside if not key.startswith("_")], "it looked beyond the dataset"
    return calls


CASES: dict[str, Forgery] = {
    f"{where}: {name}": forgery
    for where, cases in {
        "window": at_the_window(),
        "tail": at_the_tail(),
        "commit": at_the_commit(),
        "checkpoint": at_the_checkpoint(),
    }.items()
    for name, forgery in cases.items()
}


@pytest.mark.parametrize("name", CASES)
def test_a_crafted_record_is_refused(name: str) -> None:
    forger = Forger()
    CASES[name](forger)
    tracemalloc.start()
    try:
        with pytest.raises((arraystore.Corrupt, arraystore.Unsupported)) as refusal:
            look(forger)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "venue/trades/X" in str(refusal.value), "it says where"
    assert peak < MEMORY_BYTES


@pytest.mark.parametrize("name", CASES)
def test_a_crafted_dataset_hides_no_other_and_verify_tells_what_is_wrong(name: str) -> None:
    forger = Forger()
    opened(forger.disk, "data-quality").canonical.create(("venue", "other", "Y"), PLAIN).append(plain(3))
    CASES[name](forger)
    crafted = dict(forger.disk.live)
    store = opened(forger.disk, "data-quality")
    assert ("venue", "other", "Y") in store.canonical.find()
    try:
        findings = store.canonical[KEY].verify(deep=True)
    except (arraystore.Corrupt, arraystore.Unsupported) as refusal:
        findings = [refusal]
    assert findings
    assert forger.disk.live == crafted, "looking changes nothing"


BESIDE = beside_the_log()


@pytest.mark.parametrize("name", BESIDE)
def test_a_crafted_checkpoint_is_passed_over_and_found_by_verify(name: str) -> None:
    forger = Forger()
    before = canonical(forger.disk).read()["size"].tolist()
    BESIDE[name](forger)
    look(forger)
    assert canonical(forger.disk).read()["size"].tolist() == before
    assert canonical(forger.disk).verify()
    canonical(forger.disk).append(plain(3))
    assert canonical(forger.disk).rows == len(before) + 3


def test_a_forger_who_means_well_is_believed() -> None:
    """The tool itself: what it writes is a commit, a tail and a checkpoint like any other."""
    forger = Forger()
    rows = canonical(forger.disk).rows
    forger.tail()
    look(forger)
    assert canonical(forger.disk).rows == rows + 3
    forger = Forger()
    forger.checkpoint(manifest=lambda told, segment: told | {"segments": [segment | {"tail": 2, "index": canonical_digest(forger, 2)}]})
    look(forger)
    assert canonical(forger.disk).read()["size"].tolist() == [0, 1, 2]
