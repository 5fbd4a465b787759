"""Mutates every record and document, knowing how they are built, and hands them to their parsers.

Run `python -m tests.attack.fuzz SECONDS [SEED]`.
A parser may return or raise an error of ours; anything else is a finding, told with the bytes that caused it (base64). Digests and frames
are made right again after most mutations, so that what lies behind them is reached.
"""

import base64
import copy
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

import arraystore
from arraystore.classes.catalog import Snapshot
from arraystore.classes.roots import ClassAttributes, StoreAttributes, decode_attributes
from arraystore.classes.tags import Tag
from arraystore.datasets.artifacts import ArtifactIndex
from arraystore.ingest.mapping import load_mapping, shipped_mappings
from arraystore.segments.index import decode_index, forget_indexes
from arraystore.segments.tail import decode_tail
from arraystore.storage.memory import MemoryStorage
from arraystore.versions.checkpoint import load_checkpoint, load_manifest
from arraystore.versions.commit import Commit
from arraystore.versions.fold import fold
from arraystore.versions.history import Floor, History
from arraystore.versions.lineage import Dependent
from arraystore.versions.record import decode_record, unpack_arrays
from arraystore.versions.state import State
from layouts.feeds import SCHEMAS, schema_by_name
from layouts.schema import Schema, parse_schema
from tests.attack.flips import PATH, Small
from tests.attack.test_crafted import framed, split

type Parser = Callable[[bytes], object]
SLOW_SECONDS = 5.0

ODD: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    -1,
    2,
    255,
    1 << 31,
    1 << 53,
    (1 << 63) - 1,
    1 << 63,
    -(1 << 63),
    1 << 64,
    10**40,
    0.5,
    1e308,
    -0.0,
]
ODD += [
    "",
    "\0",
    "..",
    "../x",
    "/etc/passwd",
    "a" * 300,
    "é",
    "2024-08-08",
    "2024-13-99",
    "whole",
    "=2E",
    "_log",
    "zarr.json",
    "|O",
    "<i8",
    "S1",
]
ODD += ["0" * 64, "f" * 64, "dense", "complete", "deleted", "create", "float64", "time", "1-" + "0" * 32, "999999999999999999-" + "0" * 32]
ODD += [[], {}, [[]], [0, 0], [1, "0" * 64], {"a": {"b": [None]}}, [None], ["a", "a"], {"": ""}, [[0, 1]], [[5, 1]]]


def places(value: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Every place in a JSON tree, as its container and the key or number in it."""
    for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        found.append((value, key))
        places(value[key], found)
    return found


def mutate_json(value: Any, chance: random.Random) -> Any:  # noqa: C901 - one case for each kind of change
    """A few changes to a JSON tree."""
    value = copy.deepcopy(value)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        found = places(value, [])
        if not found:
            return chance.choice(ODD)
        holder, key = chance.choice(found)
        match chance.randrange(9):
            case 0 | 1 | 2:
                holder[key] = copy.deepcopy(chance.choice(ODD))
            case 3:
                del holder[key]
            case 4:
                other, place = chance.choice(found)
                if place in other if isinstance(other, dict) else place < len(other):
                    holder[key] = copy.deepcopy(other[place])
            case 5 if isinstance(holder, list):
                holder.insert(key, copy.deepcopy(holder[key]))
            case 5:
                holder[str(chance.choice(ODD))[:40]] = holder.pop(key)
            case 6 if isinstance(holder[key], int) and not isinstance(holder[key], bool):
                holder[key] += chance.choice((-1, 1, 1 << chance.randrange(64), -(1 << chance.randrange(64))))
            case 6 if isinstance(holder[key], str) and holder[key]:
                text = holder[key]
                place = chance.randrange(len(text))
                holder[key] = text[:place] + chance.choice(("", "0", "x", "/", "\0", "=", "9" * 30)) + text[place + chance.randrange(3) :]
            case 7:
                holder[key] = [holder[key]]
            case _:
                holder[key] = str(holder[key])[:200]
    return value


def mutate_bytes(data: bytes, chance: random.Random) -> bytes:
    """A few changes to bytes."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        place = chance.randrange(len(changed) + 1)
        match chance.randrange(5):
            case 0:
                changed[place : place + 1] = bytes([chance.randrange(256)])
            case 1:
                del changed[place : place + chance.choice((1, 2, 8, 1000))]
            case 2:
                changed[place:place] = chance.choice((b"\0", b"\xff" * 8, b"9" * 50, b"{", b"[[[[", b'"', chance.randbytes(9)))
            case 3:
                other = chance.randrange(len(changed) + 1)
                changed[place : place + 16] = changed[other : other + 16]
            case _ if changed:
                changed[place % len(changed)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def mutate(data: bytes, chance: random.Random) -> bytes:
    """A record or a document, changed in its header, its body, or as bytes."""
    if chance.random() < 0.1:
        return mutate_bytes(data, chance)
    try:
        kind = data.split(b" ", 2)[1].decode() if data.startswith(b"arraystore ") else ""
        header, body, _ = split(data) if kind else ({}, b"", "")
    except (ValueError, IndexError, msgspec.DecodeError):  # it was changed as bytes before
        return mutate_bytes(data, chance)
    if kind:
        if body and chance.random() < 0.3:
            return framed(kind, msgspec.json.encode(header), mutate_bytes(body, chance))[0]
        return framed(kind, json.dumps(mutate_json(header, chance)).encode(), body)[0]
    try:
        value = json.loads(data)
    except ValueError:
        return mutate_bytes(data, chance)
    return json.dumps(mutate_json(value, chance)).encode()


class Targets:
    """Parsers by name, each with the bytes it takes well."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.small = Small("trades", "dense")
        self.objects = dict(self.small.objects)
        self.scratch = MemoryStorage(f"fuzz-{id(self):x}")
        self.parsers: dict[str, tuple[Parser, list[bytes]]] = {}
        self.states = list(History(MemoryStorage(self.small.storage.url.split("//")[1], "canonical"), PATH).replay(6))
        self._add_records()
        self._add_documents()
        self._add_files()

    def seeds(self, part: str) -> list[bytes]:
        found = [data for path, data in sorted(self.objects.items()) if part in path]
        assert found, part
        return found

    def _add_records(self) -> None:
        log = self.seeds("small/X/_log/0")
        schema = schema_by_name("trades")
        self.parsers |= {
            "commit": (self.commit, log),
            "checkpoint": (self.checkpoint, self.seeds("/_checkpoints/")),
            "manifest": (self.manifest, self.seeds("/_manifests/")),
            "index": (lambda data: decode_index(data, schema, "here"), self.seeds("/time/_index")),
            "artifact": (self.artifact, [self.objects[path] for path in self.objects if "_artifacts" in path and path.endswith("_index")]),
            "floor": (
                lambda data: decode_record("floor", data, Floor, "here"),
                [framed("floor", b'{"floor":3,"digest":"' + b"0" * 64 + b'"}')[0]],
            ),
            "catalog": (lambda data: decode_record("catalog", data, Snapshot, "here"), [self._catalog()]),
            "lineage": (lambda data: decode_record("lineage", data, Dependent, "here")[0].to_json(), self.seeds("lineage/")),
            "tag": (lambda data: decode_record("tag", data, Tag, "here")[0].to_json(), self.seeds("tags/")),
            "hints": (self.through("whole", f"canonical/{PATH}/_log/latest"), [b"3", b"99999999999"]),
            "mark": (
                self.through("changes", next(path for path in self.objects if "canonical/_journal/" in path)),
                self.seeds("canonical/_journal/"),
            ),
            "tag of a store": (self.through("tag", next(path for path in self.objects if "tags/" in path)), self.seeds("tags/")),
            "edge of a store": (
                self.through("dependents", next(path for path in self.objects if "lineage/" in path)),
                self.seeds("lineage/"),
            ),
            "catalog of a store": (self.through("changes", "canonical/_catalog/latest"), [self._catalog()]),
            "commit of a store": (
                self.through("whole", f"canonical/{PATH}/_log/{6:020d}"),
                [self.objects[f"canonical/{PATH}/_log/{6:020d}"]],
            ),
        }

    def _catalog(self) -> bytes:
        known = [data for path, data in self.small.objects.items() if path.endswith("_catalog/latest")]
        told = {"generation": 5, "entries": [], "root": ""}
        return known[0] if known else framed("catalog", json.dumps(told).encode())[0]

    def _add_documents(self) -> None:
        schemas = [msgspec.json.encode(schema_by_name(name)) for name in SCHEMAS]
        self.parsers |= {
            "schema": (self.schema, schemas),
            "store": (lambda data: decode_attributes(data, StoreAttributes, "here"), [self.objects["zarr.json"]]),
            "class": (lambda data: decode_attributes(data, ClassAttributes, "here"), [self.objects["canonical/zarr.json"]]),
            "dataset": (self.through("whole", f"canonical/{PATH}/zarr.json"), [self.objects[f"canonical/{PATH}/zarr.json"]]),
        }

    def _add_files(self) -> None:
        texts = [path.read_bytes() for path in (Path(arraystore.__file__).parent / "ingest" / "mappings").glob("*.toml")]
        assert len(texts) >= len(shipped_mappings()) > 0
        self.parsers["mapping"] = (self.mapping, texts)
        try:
            import databento_dbn as dbn
        except ImportError:
            return
        at = 1_704_153_600_000_000_123
        fields = {"publisher_id": 2, "instrument_id": 7, "ts_event": at, "size": 10, "depth": 0, "sequence": 42}
        trade = dbn.TradeMsg(**fields, price=10**9, action=dbn.Action.TRADE, side=dbn.Side.from_str("B"), ts_recv=at, flags=128)
        symbols = dbn.SType.INSTRUMENT_ID
        head = dbn.Metadata("XNAS.ITCH", at, symbols, symbols, dbn.Schema("trades"), end=at + 1).encode()
        self.parsers["DBN"] = (self.dbn, [head + bytes(trade) * 3])

    def schema(self, data: bytes) -> object:
        try:
            found = msgspec.json.decode(data, type=Schema)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
        return parse_schema(found).arrays()

    def commit(self, data: bytes) -> object:
        commit, body, digest = decode_record("commit", data, Commit, "here")
        before = next((state for state in self.states if state.digest == commit.previous), self.states[0])
        state = fold(before, commit, digest, len(data), "here")
        for change in commit.windows:
            if change.tail is not None:
                decode_tail(change.tail, body, state.schemas[change.tail.schema], "here")
        return [state.summary(name) for name in state.window_names()]

    def checkpoint(self, data: bytes) -> object:
        self.scratch._space.objects["x/_checkpoints/00000000000000000004"] = data
        found: State = load_checkpoint(self.scratch, "x", 4, None)
        return [found.summary(name) for name in found.window_names()]

    def manifest(self, data: bytes) -> object:
        digest = data.split(b" ")[3].decode(errors="replace") if data.count(b" ") > 3 else ""
        if len(digest) != 64 or not digest.isalnum():
            return None
        self.scratch._space.objects[f"x/_manifests/{digest}"] = data
        try:
            header = split(data)[0]
            return load_manifest(self.scratch, "x", str(header.get("dataset")), str(header.get("window")), digest).clocks
        except (ValueError, IndexError, AttributeError, msgspec.DecodeError):
            return load_manifest(self.scratch, "x", "y", "z", digest)
        finally:
            del self.scratch._space.objects[f"x/_manifests/{digest}"]

    def artifact(self, data: bytes) -> object:
        index, body, _ = decode_record("index", data, ArtifactIndex, "here")
        return unpack_arrays(index.tables, body, "here")

    def through(self, name: str, path: str) -> Parser:
        """Parse by asking a whole store, one file of which is these bytes."""

        def parse(data: bytes) -> object:
            objects = self.small.objects
            before = objects.get(path)
            objects[path] = data
            forget_indexes()
            try:
                return self.small.calls()[name](self.small.opened("operations"))
            finally:
                if before is None:
                    del objects[path]
                else:
                    objects[path] = before

        return parse

    def mapping(self, data: bytes) -> object:
        path = self.folder / "mapping.toml"
        path.write_bytes(data)
        return load_mapping(path)

    def dbn(self, data: bytes) -> object:
        path = self.folder / "a.trades.dbn"
        path.write_bytes(data)
        store = arraystore.open_store("memory://", role="data-quality", create=True)
        return arraystore.ingest(store, path, mapping="databento-trades", into="canonical/xnas/trades/X", workers=1).to_json()


def attempt(parse: Parser, data: bytes) -> str:
    """What is wrong with how a parser takes some bytes; nothing if it returns, or raises an error of ours, soon."""
    began = time.process_time()
    try:
        parse(data)
    except arraystore.ArrayStoreError:
        pass
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
        trace = error.__traceback__
        while trace and trace.tb_next:
            trace = trace.tb_next
        where = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else ""
        return f"{type(error).__name__} at {where}: {error!s:.100}"
    took = time.process_time() - began
    return f"it took {took:.1f} s" if took > SLOW_SECONDS else ""


def run(seconds: float, seed: int, most: int | None = None) -> tuple[Counter[str], dict[str, tuple[str, bytes]]]:
    """Executions by target, and the findings by what they are: the target and the shortest bytes."""
    chance, done = random.Random(seed), Counter[str]()
    findings: dict[str, tuple[str, bytes]] = {}
    with tempfile.TemporaryDirectory() as folder:
        targets = Targets(Path(folder))
        pool = {name: list(seeds) for name, (_, seeds) in targets.parsers.items()}
        end = time.monotonic() + seconds
        names = sorted(targets.parsers)
        while time.monotonic() < end and (most is None or done.total() < most):
            name = names[done.total() % len(names)]
            parse = targets.parsers[name][0]
            data = mutate(chance.choice(pool[name]), chance)
            done[name] += 1
            if problem := attempt(parse, data):
                key = f"{name}: {problem.partition(': ')[0]}"
                if key not in findings or len(data) < len(findings[key][1]):
                    findings[key] = (problem, data)
            elif chance.random() < 0.02 and len(pool[name]) < 200 and len(data) < 1 << 16:
                pool[name].append(data)  # what passed, or was refused in our words, is changed further
    return done, findings


def main(arguments: list[str]) -> int:
    done, findings = run(float(arguments[0]), int(arguments[1]) if len(arguments) > 1 else int(np.random.default_rng().integers(1 << 31)))
    print(f"{done.total()} executions: {dict(done)}")  # noqa: T201 - it is a command
    for key, (problem, data) in sorted(findings.items()):
        print(f"FOUND {key}: {problem}\n  {base64.b64encode(data[:3000]).decode()}")  # noqa: T201
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
