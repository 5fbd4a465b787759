"""What the longest and the oddest headers cost: memory of at most so many times their length (FORMAT.md section 4)."""

import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

import arraystore
from arraystore.versions.commit import Commit
from arraystore.versions.fold import fold
from arraystore.versions.record import HEADER_LIMIT_BYTES, decode_record
from arraystore.versions.state import State
from tests.attack import test_hostile
from tests.attack.test_crafted import framed

TIMES = 64
"""What FORMAT.md section 4 says."""

CREATE = {"version": 1, "dataset": "d", "id": "i", "previous": "", "operation": "create", "role": "r", "host": "h", "process": "p"}
HEAD = msgspec.json.encode(CREATE | {"time": 1, "running_time": 1, "schema": 0, "schemas": [arraystore.schema_by_name("trades")]})[:-1]
PIN = b'{"class":"","key":[],"dataset":"%x","version":0,"digest":""}'


def listed(item: bytes) -> Callable[[int], bytes]:
    """An attribute that is a list of small things."""
    return lambda size: b'"attributes":{"x":[' + item + (b"," + item) * (size // (len(item) + 1)) + b"]}"


def pins(count: int) -> bytes:
    return b'"inputs":[' + b",".join(PIN % number for number in range(count)) + b"]"


SHAPES: dict[str, Callable[[int], bytes]] = {
    "deep lists": listed(b"[" * 480 + b"]" * 480),
    "deep objects": listed(b'{"":' * 300 + b"0" + b"}" * 300),
    "empty lists": listed(b"[]"),
    "empty objects": listed(b"{}"),
    "small objects": listed(b'{"":0}'),
    "texts": listed('"日"'.encode()),
    "windows": lambda size: test_hostile.hours(size // 27),
    "windows with attributes": lambda size: test_hostile.hours(size // 46).replace(b"}", b',"attributes":{"":0}}'),
    "windows and inputs": lambda size: test_hostile.hours(size // 54) + b"," + pins(size // 122),
    "coverage": lambda size: (
        b'"windows":[{"window":"2024-08-08","coverage":' + msgspec.json.encode([[n, n + 1] for n in range(0, size // 7, 2)]) + b"}]"
    ),
    "what is removed": lambda size: b'"removed_artifacts":' + msgspec.json.encode([f"{n:x}" for n in range(size // 8)]),
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_header_takes_no_more_than_so_many_times_its_length(name: str) -> None:
    head = HEAD + b"," + SHAPES[name](1 << 17) + b"}"
    data, _ = framed("commit", head)
    tracemalloc.start()
    try:
        commit, _, digest = decode_record("commit", data, Commit, "here")
        state = fold(State(dataset="d", digest=""), commit, digest, len(data), "here")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert state.version == 1
    assert peak < TIMES * len(head)


def test_windows_that_share_a_lineage_keep_sharing_it_and_others_keep_theirs() -> None:
    state = State(dataset="d", digest="")
    for version, windows, inputs in ((1, ["2024-08-08", "2024-08-09"], 2), (2, ["2024-08-08", "2024-08-10"], 3)):
        fields = CREATE | {"version": version, "previous": state.digest, "time": 1, "running_time": 1, "schema": 0}
        fields |= {"operation": "append"} if version > 1 else {"schemas": [arraystore.schema_by_name("trades")]}
        fields |= {"windows": [{"window": name} for name in windows]}
        data, digest = framed("commit", msgspec.json.encode(fields)[:-1] + b"," + pins(inputs) + b"}")
        state = fold(state, decode_record("commit", data, Commit, "here")[0], digest, len(data), "here")
        assert state.window(windows[0]).lineage == state.window(windows[1]).lineage
    lineages = {name: [pin.dataset for pin in state.window(name).lineage] for name in state.window_names()}
    assert lineages == {"2024-08-08": ["0", "1", "2"], "2024-08-09": ["0", "1"], "2024-08-10": ["0", "1", "2"]}


PART = int(os.environ.get("ARRAYSTORE_LONGEST_PART", "1"))
"""Headers are so many times shorter: each takes a reader some 8 s of a core for every time that it is read, and the test minutes."""

LONGEST = {
    "a million windows without rows": lambda: test_hostile.hours(1_000_000 // PART),
    "the longest header": lambda: SHAPES["deep lists"]((HEADER_LIMIT_BYTES - 10_000) // PART),
}


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", LONGEST)
def test_the_longest_headers_take_no_more_either(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the public interface, in a process that has no more."""
    fields = LONGEST[name]()
    monkeypatch.setenv("ARRAYSTORE_HOSTILE_SECONDS", "900")
    # A reader that reads it again holds it twice: what it knew, and what takes its place.
    monkeypatch.setenv("ARRAYSTORE_HOSTILE_BYTES", str(2 * TIMES * len(fields) + (256 << 20)))
    reports = test_hostile.run(tmp_path, [name], attacks={name: lambda root: test_hostile.followed(root, fields)})
    assert reports[name]["calls"].keys() == reports["good"]["calls"].keys()
    wrong = test_hostile.problems(name, reports[name], reports["good"])
    assert not [each for each in wrong if "another answer" not in each], wrong
    assert all(outcome == "answer" for outcome, _ in reports[name]["calls"].values())
