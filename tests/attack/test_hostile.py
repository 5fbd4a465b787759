"""A store made by an attacker is refused within stated limits of memory and time; no code runs, nothing outside of the root is touched."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import numpy as np
import pytest

import arraystore
from arraystore.testing.generators import generate
from arraystore.versions.record import encode_record, pack_arrays
from tests.attack.hostile import KEY
from tests.attack.test_crafted import framed, split

DATASET = "canonical/venue/trades/X"
SECRET = b"what lies outside of the store"
TRADES = arraystore.schema_by_name("trades")

type Attack = Callable[[Path], None]


def build(root: Path) -> None:
    """A store with one of everything."""
    quality = arraystore.open_store(root, role="data-quality", create=True)
    with (
        mock.patch("arraystore.versions.checkpoint.is_due", lambda state: state.version == 4),
        mock.patch("arraystore.versions.log.HINT_EVERY", 1),
    ):
        for instrument in ("X", "Y"):
            dataset = quality.canonical.create((*KEY[:2], instrument), TRADES)
            with mock.patch("arraystore.datasets.writer.TAIL_BYTES", -1):
                dataset.append(generate("trades", 50, seed=1))
            dataset.add_file(b"a file", name="file")
            for day in range(3):
                dataset.append(generate("trades", 3, seed=day, start=f"2024-08-{10 + day}"))
    pin = quality.canonical[KEY].pin()
    quality.tag("good", [pin])
    analysis = arraystore.open_store(root, role="analysis")
    made = analysis.derived.create(("bars", "v", "venue", "X"), arraystore.schema_by_name("bars"))
    made.append(generate("bars", 1, seed=5), inputs=[pin])
    list(analysis.canonical.changes())


TARGETS = {
    "store": "zarr.json",
    "class": "canonical/zarr.json",
    "dataset": f"{DATASET}/zarr.json",
    "commit": f"{DATASET}/_log/{3:020d}",
    "hint": f"{DATASET}/_log/latest",
    "floor": f"{DATASET}/_log/floor",
    "checkpoint": f"{DATASET}/_checkpoints/*",
    "manifest": f"{DATASET}/_manifests/*",
    "index": f"{DATASET}/2024-08-08/*/time/_index",
    "chunks": f"{DATASET}/2024-08-08/*/price/0",
    "segment": f"{DATASET}/2024-08-08/*/zarr.json",
    "file": f"{DATASET}/_artifacts/*/data",
    "index of a file": f"{DATASET}/_artifacts/*/_index",
    "mark": "canonical/_journal/*/*",
    "catalog": "canonical/_catalog/latest",
    "edge": "lineage/canonical/*/*",
    "tag": "tags/good/*",
}
GONE = {"tag": {"tags"}, "edge": {"dependents", "impact"}, "floor": set(), "mark": {"changes", "find"}}
"""What can't be known of a file that isn't there: nothing else names these."""

ALSO = {
    "edges in a circle": {"dependents"},  # as many as there are: they are names, not proofs
    "an index of terabytes of text": {"manifests"},  # that name another digest
    "an index of chunks of gigabytes": {"manifests"},
    "many windows without rows": {"versions", "manifests", "changes", "impact"},  # one more, well made
}
"""Calls whose answer an attack changes by what it may well say."""


def target(root: Path, name: str) -> Path:
    found = sorted(root.glob(TARGETS[name]))
    return found[0] if found else root / TARGETS[name].replace("*", "0")


def sparse(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with path.open("wb") as file:
        file.truncate(1 << 40)


def sparse_after(path: Path) -> None:
    with path.open("ab") as file:
        file.truncate(1 << 40)


def linked(path: Path) -> None:
    """A symbolic link to the same bytes, and a secret beside them."""
    outside = path.parents[-2] if len(path.parents) < 3 else path
    del outside
    place = root_of(path).parent / f"outside-{path.name}-{os.getpid()}"
    place.write_bytes(path.read_bytes() if path.exists() else SECRET)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(place)


def root_of(path: Path) -> Path:
    return next(parent for parent in path.parents if parent.name.startswith("case-"))


def linked_above(path: Path) -> None:
    """The directory itself is a link to one outside."""
    place = root_of(path).parent / f"outside-{path.parent.name}-{path.parents[1].name}-{root_of(path).name}"
    if path.parent == root_of(path) or not path.exists():
        return
    shutil.copytree(path.parent, place)
    shutil.rmtree(path.parent)
    path.parent.symlink_to(place)


def fifo(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def sock(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    short = Path(f"/proc/self/fd/{os.open(path.parent, os.O_RDONLY)}") / path.name
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(short))


def directory(path: Path) -> None:
    path.unlink(missing_ok=True)
    (path / "below").mkdir(parents=True)


def with_bytes(data: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    return write


def json_with(change: Callable[[str], str]) -> Callable[[Path], None]:
    """A document or a record's header, changed as text; a record is framed anew with the right digest."""

    def write(path: Path) -> None:
        data = path.read_bytes() if path.exists() else b"{}"
        if data.startswith(b"arraystore "):
            kind = data.split(b" ", 2)[1].decode()
            header, body, _ = split(data)
            data = framed(kind, change(json.dumps(header)).encode("utf-8", "surrogatepass"), body)[0]
        else:
            data = change(data.decode(errors="replace")).encode("utf-8", "surrogatepass")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    return write


HOWS: dict[str, Callable[[Path], None]] = {
    "a terabyte without content": sparse,
    "a terabyte behind it": sparse_after,
    "a link": linked,
    "a link above": linked_above,
    "a FIFO": fifo,
    "a socket": sock,
    "a directory": directory,
    "nothing": with_bytes(b""),
    "NULs": with_bytes(bytes(5000)),
    "depth": with_bytes(b"[" * 5_000_000),
    "depth in a document": with_bytes(b'{"zarr_format":3,"attributes":{"arraystore":' + b'{"a":' * 500_000 + b"1" + b"}" * 500_002),
    "a first line of lies": with_bytes(b"arraystore commit 1 " + b"0" * 64 + b" 67108864 1073741824\n"),
    "a first line without end": with_bytes(b"arraystore commit 1 " + b"0" * 5_000_000),
    "long JSON": json_with(lambda text: text[:-1] + ',"x":"' + "a" * (60 << 20) + '"}'),
    "wide JSON": json_with(lambda text: text[:-1] + ',"x":[' + "[]," * 5_000_000 + "[]]}"),
    "fields that say NaN": json_with(lambda text: re.sub(r":\s*\d+", ":NaN", text)),
    "fields without end": json_with(lambda text: re.sub(r":\s*\d+", ":" + "9" * 5000, text)),
    "numbers near 2⁶³": json_with(lambda text: re.sub(r":\s*\d+", ":9223372036854775807", text)),
    "numbers below zero": json_with(lambda text: re.sub(r":\s*\d+", ":-1", text)),
    "fields twice": json_with(lambda text: text[:-1] + "," + text[1:] if len(text) > 2 else text),
    "half an escape": json_with(lambda text: text.replace('":', '\\ud800":', 1)),
    "texts with NUL": json_with(lambda text: re.sub(r'"([a-z])', r'"\\u0000\1', text)),
    "ways out": json_with(lambda text: re.sub(r'"(\w[\w.-]{3,})"(?!:)', '"../../../../etc/passwd"', text)),
    "absolute paths": json_with(lambda text: re.sub(r'"(\w[\w.-]{3,})"(?!:)', '"/etc/passwd"', text)),
    "object codecs": json_with(lambda text: text.replace("bytes", "pickle").replace("int64", "object").replace("pcodec", "pickle")),
}


def edges_in_a_circle(root: Path) -> None:
    """Lineage that goes round: what was made of a dataset is what it was made of."""
    (folder,) = root.glob("lineage/canonical/*")
    (edge,) = folder.iterdir()
    header, _, _ = split(edge.read_bytes())
    back = header["inputs"][0]
    for number in range(50):
        told = header | {"class": back["class"], "key": back["key"], "dataset": back["dataset"], "version": 1 + number}
        data, _ = framed("lineage", msgspec.json.encode(told))
        (folder / f"{1 + number}-{number:016x}").write_bytes(data)


def followed(root: Path, fields: bytes) -> None:
    """One more commit, well made, with these fields of JSON."""
    log = root / DATASET / "_log"
    newest = max(path for path in log.iterdir() if path.name.isdecimal())
    header, _, digest = split(newest.read_bytes())
    version = int(newest.name) + 1
    keep = {name: header[name] for name in ("dataset", "role", "host", "process", "time", "running_time")}
    keep |= {"version": version, "id": "f" * 32, "previous": digest, "operation": "update"}
    (log / f"{version:020d}").write_bytes(framed("commit", msgspec.json.encode(keep)[:-1] + b"," + fields + b"}")[0])


def hours(count: int) -> bytes:
    """So many windows without rows, as a field of a commit."""
    first = np.datetime64("1700-01-01T00", "h")
    return b'"windows":' + msgspec.json.encode([{"window": str(hour)} for hour in first + np.arange(count).astype("m8[h]")])


def versions_near_the_end(root: Path) -> None:
    log = root / DATASET / "_log"
    for version in ((1 << 63) - 1, (1 << 62) - 1, 1 << 62, (1 << 62) + 1):
        shutil.copy(log / f"{3:020d}", log / f"{version:020d}")
    (log / "latest").write_text(str((1 << 62) - 1))


def with_index(change: Callable[[dict[str, Any], dict[str, np.ndarray]], None]) -> Attack:
    """An index that says something else, named by a log that is forged from there on, so that every digest is right."""

    def attack(root: Path) -> None:
        (path,) = (root / DATASET / "2024-08-08").glob("*/time/_index")
        header, body, _ = split(path.read_bytes())
        tables = {
            name: np.frombuffer(body, ref["dtype"], int(np.prod(ref["shape"])), ref["offset"]).reshape(ref["shape"]).copy()
            for name, ref in header["tables"].items()
        }
        change(header, tables)
        refs, pieces = pack_arrays(tables)
        data, digest = encode_record("index", header | {"tables": msgspec.to_builtins(refs)}, pieces)
        path.write_bytes(data)
        forge(root, lambda commit: [entry.update(index=digest) for each in commit.get("windows", []) for entry in each.get("add", [])])

    return attack


def forge(root: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change every commit, and chain them anew; checkpoints go."""
    shutil.rmtree(root / DATASET / "_checkpoints", ignore_errors=True)
    previous = ""
    for path in sorted(path for path in (root / DATASET / "_log").iterdir() if path.name.isdecimal()):
        header, body, _ = split(path.read_bytes())
        header.pop("checkpoint", None)
        header["previous"] = previous or header["previous"]
        change(header)
        data, previous = framed("commit", msgspec.json.encode(header), body)
        path.write_bytes(data)


def array_of(header: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (each for each in header["arrays"] if each["array"] == name)
    return found


def a_text_of_terabytes(header: dict[str, Any], tables: dict[str, np.ndarray]) -> None:
    """`trade_id` says it has 2⁴⁰ bytes in chunks of 4 MiB, each of 50 stored ones."""
    chunks = 1 << 18
    array_of(header, "trade_id").update(shape=[chunks << 22], chunk=1 << 22, shard=chunks << 22)
    tables["trade_id:length"] = np.full(chunks, 50, np.uint32)
    tables["trade_id:offset"] = np.arange(chunks, dtype=np.int64) * 50
    tables["trade_id:crc32c"] = np.zeros(chunks, np.uint32)
    tables["trade_id:element"] = np.array([0, chunks << 22])


def chunks_of_gigabytes(header: dict[str, Any], tables: dict[str, np.ndarray]) -> None:
    del header
    tables["price:length"][:] = 0xFFFF_FFF0


SPECIAL: dict[str, Attack] = {
    "edges in a circle": edges_in_a_circle,
    "many windows without rows": lambda root: followed(root, hours(4_000)),
    "versions near the end": versions_near_the_end,
    "an index of terabytes of text": with_index(a_text_of_terabytes),
    "an index of chunks of gigabytes": with_index(chunks_of_gigabytes),
}
EACH: dict[str, Attack] = {
    f"{how} as {name}": lambda root, how=how, name=name: HOWS[how](target(root, name)) for how in HOWS for name in TARGETS
} | SPECIAL
FAST = [*SPECIAL, *(f"{how} as {name}" for number, how in enumerate(HOWS) for name in [list(TARGETS)[(5 * number) % len(TARGETS)]])]


def run(place: Path, names: list[str], *prefix: str, attacks: dict[str, Attack] = EACH) -> dict[str, Any]:
    """Make a store for each attack, look at all in one process, and return the reports by the attacks' names."""
    good = place / "case-good"
    build(good)
    roots = {}
    for number, name in enumerate(names):
        roots[name] = place / f"case-{number}"
        shutil.copytree(good, roots[name], symlinks=True)
        attacks[name](roots[name])
    command = [*prefix, sys.executable, "-m", "tests.attack.hostile", str(good), str(good), *map(str, roots.values())]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr[-2000:]
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    return dict(zip(["good", *names], reports, strict=True))


def problems(name: str, report: dict[str, Any], good: dict[str, Any]) -> list[str]:
    """What is wrong with how an attack was met."""
    if "calls" not in report:
        return [f"{name}: the reader died: {report}"]
    wrong = [f"{name}: {event}" for event in report["events"]]
    _, _, kind = name.rpartition(" as ")
    for call, (outcome, told) in report["calls"].items():
        if name.startswith("a link above") and call in ("find", "changes"):
            continue  # a listing leaves links out
        if outcome == "strange":
            wrong.append(f"{name}: {call}: {told}")
        elif (
            outcome == "answer"
            and call != "verify"
            and told != good["calls"][call][1]
            and call not in GONE.get(kind, ())
            and call not in ALSO.get(name, ())
        ):
            wrong.append(f"{name}: {call}: another answer")
        if SECRET.decode() in str(told):
            wrong.append(f"{name}: {call}: it tells what lies outside")
    return wrong


def check(reports: dict[str, Any]) -> None:
    good = reports.pop("good")
    assert all(outcome == "answer" for outcome, _ in good["calls"].values()), good
    assert not good["events"]
    assert not [wrong for name, report in reports.items() for wrong in problems(name, report, good)]


def test_a_hostile_store_is_refused_within_limits(tmp_path: Path) -> None:
    reports = run(tmp_path, FAST)
    assert sum(outcome == "refused" for report in reports.values() for outcome, _ in report.get("calls", {}).values()) > len(FAST)
    check(reports)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_hostile_store_is_refused_within_limits(tmp_path: Path) -> None:
    check(run(tmp_path, list(EACH)))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(shutil.which("strace") is None, reason="there is no strace here")
def test_nothing_outside_of_the_root_is_opened_written_or_run(tmp_path: Path) -> None:
    """By what the kernel was asked for, which no audit hook can miss."""
    names = [name for name in EACH if name.startswith(("a link", "ways out", "absolute", "texts with", "object"))]
    names.remove("a link above as class")  # the store itself may say that a class lies elsewhere
    trace = tmp_path / "trace"
    calls = "trace=open,openat,openat2,unlink,unlinkat,rename,renameat2,mkdir,mkdirat,link,linkat,symlink,symlinkat,execve,connect,truncate"
    check(run(tmp_path, names, "strace", "-f", "-qq", "-y", "-o", str(trace), "-e", calls))
    lines = trace.read_text(errors="replace").splitlines()
    begin = next(number for number, line in enumerate(lines) if "case-0" in line)
    strange = [
        line
        for line in lines[begin:]
        if (
            "outside-" in line
            or "passwd" in line
            or re.search(r"unlink|rename|mkdir|link\(|execve|connect|truncate|O_CREAT|O_WRONLY", line)
        )
        and "ELOOP" not in line
        and not line.rstrip().endswith("ENOENT (No such file or directory)")
    ]
    assert len(lines) > 1000
    assert not strange
