"""Writes a golden store of format 1 through the public interface, and what must be read from it.

    python -m tests.format.make_golden golden-4

Clock, names and random numbers are fixed, so that a second run writes the same bytes. One that is there is never made again: what was
written must be read for ever. What is new in the format gets a story and a store of its own.
"""

import importlib
import itertools
import json
import os
import random
import secrets
import socket
import sys
import time
import uuid
from typing import Any

import numpy as np

from tests.format import golden
from tests.format.golden import Json

FIRST_MOMENT = 1_725_148_800_000_000_000  # 2024-09-01
STORIES = {"golden-1": "golden_story", "golden-2": "golden_story_2", "golden-3": "golden_story_3"}
UNITS = {"hour": "h", "day": "D", "month": "M", "year": "Y"}


def fix_everything() -> None:
    """Take chance and place out of what is written; before arraystore is imported."""
    numbers = random.Random(1)
    moments = itertools.count(FIRST_MOMENT, 10**9)
    time.time_ns = lambda: next(moments)
    socket.gethostname = lambda: "golden"
    os.getpid = lambda: 1
    secrets.randbits = numbers.getrandbits
    secrets.token_hex = lambda size=16: numbers.randbytes(size).hex()
    uuid.uuid4 = lambda: uuid.UUID(int=numbers.getrandbits(128), version=4)


class Book:
    """A dataset, and beside it a model of what it must hold: the simplest that can be."""

    def __init__(self, dataset: Any, schema: Any, attributes: Json | None = None) -> None:
        self.dataset = dataset
        self._schemas = {} if schema is None else {"": told(schema)}
        self._rows: Json = {}
        self._count: dict[str, int] = {}
        self._windows: dict[str, Json] = {}
        self._times: dict[str, list[int]] = {}
        self.attributes: Json = dict(attributes or {})
        self._artifacts: Json = {}
        self._writers: Json = {}
        self._versions: list[Json] = []
        self._history = [] if schema is None else [told(schema)]
        self.note("create")

    # --- what is done to both

    def append(self, data: Json, *, operation: str = "append", **options: Any) -> Any:
        receipt = self.dataset.append(as_given(self._schemas[""], data), **options)
        self.added("", data, operation, **options)
        return receipt

    def replace(self, window: str, data: Json, *, reason: str, **options: Any) -> None:
        options = {"completeness": "complete", **options}
        self.dataset.replace(window, as_given(self._schemas[""], data), reason=reason, **options)
        self.emptied_window(window)
        self.added("", data, "replace", **options)

    def update(self, **options: Any) -> None:
        self.dataset.update(**options)
        self.attributes = _merged(self.attributes, options.get("attributes", {}))
        if window := options.get("window"):
            self.touch(window, {"window_attributes": {}, **options})
        self.note("update")

    def evolve(self, schema: Any, *, window_from: int | None = None, reason: str = "") -> None:
        self.dataset.evolve(schema, window_from=window_from, reason=reason)
        before, after = self._schemas[""], told(schema)
        earlier = before.get("earlier_windows", []) + ([] if window_from is None else [[before["window"], window_from]])
        self._schemas[""] = {**after, **({"earlier_windows": earlier} if earlier else {})}
        self._history.append(self._schemas[""])
        known = {column["name"] for column in before["columns"]}
        for column in after["columns"]:
            if column["name"] not in known and self._count.get(""):
                self._rows[""][column["name"]] = [{"nulls": self._count[""]}]
        self.note("evolve")

    def withdraw(self, window: str, reason: str) -> None:
        self.dataset.withdraw(window, reason=reason)
        self._windows[window] = {**_empty_window(), "attributes": {"withdrawn": reason}}
        self._times.pop(window, None)
        self.note("withdraw")

    def compact(self, operations: Any, window: str) -> None:
        """Done by somebody else; the rows stay."""
        operations.compact(window)
        self.dataset.refresh()
        self.note("compact")

    def add_file(self, data: bytes, name: str, media_type: str) -> None:
        self.dataset.add_file(data, name, media_type=media_type)
        self.noted_file(data, name, media_type)

    # --- the model

    def windows(self) -> list[str]:
        return sorted(self._windows)

    def noted_file(self, data: bytes, name: str, media_type: str) -> None:
        self._artifacts = {**self._artifacts, name: {"hex": data.hex(), "media_type": media_type}}
        self.note("artifact")

    def series(self, name: str, schema: Any) -> None:
        self._schemas[name] = told(schema)

    def emptied(self, operation: str) -> None:
        """The dataset was deleted; what comes after is another one."""
        self.attributes, self._windows, self._times, self._artifacts, self._writers = {}, {}, {}, {}, {}
        self.note(operation, deleted=True)

    def emptied_window(self, window: str) -> None:
        """What a replace begins with."""
        self._windows[window] = _empty_window()
        self._times.pop(window, None)

    def touch_all(self, options: Json) -> None:
        for window in self._windows:
            self.touch(window, options)

    def added(self, series: str, data: Json, operation: str, *, quiet: bool = False, **options: Any) -> None:
        """Take in what was given: each row into its window, in order of time where the schema says so."""
        schema = self._schemas[series]
        count = len(data[schema["axis"]]) if data else 0
        first = self._count.get(series, 0)
        self._count[series] = first + count
        for column in schema["columns"] if count else []:
            pieces = self._rows.setdefault(series, {}).setdefault(column["name"], [])
            pieces.append(golden.encode(column, data.get(column["name"]), count))
        names = self._names(schema, series, data) if count else []
        for number, (window, moment) in enumerate(names, first):
            rows = self._windows.setdefault(window, _empty_window())["rows"]
            times = self._times.setdefault(window, [])
            at = np.searchsorted(times, moment, side="right") if schema["order"] == "time" else len(times)
            times.insert(int(at), moment)
            rows.insert(int(at), number)
            self._windows[window]["attributes"].pop("withdrawn", None)
        touched = {window for window, _ in names}
        for interval in options.get("coverage") or []:
            touched |= self._cover(schema, *interval)
        for window in sorted(touched):
            self.touch(window, options, reopens=count > 0)
        if token := options.get("token"):
            self._writers = {**self._writers, token[0]: [token[1], len(self._versions) + 1]}
        if not quiet:
            self.note(operation)

    def _names(self, schema: Json, series: str, data: Json) -> list[tuple[str, int]]:
        times = np.array(data[schema["axis"]], np.int64)
        if series or schema["window"] == "whole":
            return [(series or "whole", moment) for moment in times.tolist()]
        return [(_window_of(schema, moment), moment) for moment in times.tolist()]

    def _cover(self, schema: Json, start: str, stop: str) -> set[str]:
        """Coverage in whole windows is all that the golden store declares."""
        unit = UNITS[schema["window"]]
        windows = np.arange(np.datetime64(start, unit), np.datetime64(stop, unit))
        for window in windows:
            bounds = [int(each.astype("datetime64[ns]").astype(np.int64)) for each in (window, window + 1)]
            self._windows.setdefault(str(window), _empty_window())["coverage"] = [bounds]
        return {str(window) for window in windows}

    def touch(self, window: str, options: Json, *, reopens: bool = False) -> None:
        state = self._windows[window]
        reopened = "open" if reopens and state["completeness"] == "complete" else state["completeness"]
        state["completeness"] = options.get("completeness") or reopened
        state["attributes"] = _merged(state["attributes"], options.get("window_attributes") or {})
        state["lineage"] = state["lineage"] + [_pin(pin) for pin in options.get("inputs") or ()]

    def note(self, operation: str, *, deleted: bool = False) -> None:
        """What the newest version must say."""
        windows = {name: {**state, "rows": golden.ranges(state["rows"])} for name, state in sorted(self._windows.items())}
        version = {"operation": operation, "attributes": self.attributes, "windows": windows, "artifacts": self._artifacts}
        version |= {"writers": self._writers, "deleted": deleted, "schema": len(self._history) - 1}
        self._versions.append(json.loads(json.dumps(version)))

    def to_json(self) -> Json:
        key, name = list(self.dataset.key), self.dataset.storage_class
        return {
            "class": name,
            "key": key,
            "profile": self.dataset.profile,
            "schemas": self._schemas,
            **({"history": self._history} if len(self._history) > 1 else {}),
            "rows": self._rows,
            "versions": golden.only_changes(self._versions),
        }


def _window_of(schema: Json, moment: int) -> str:
    """The window of a time, which had another length before some moments."""
    lengths = [length for length, until in schema.get("earlier_windows", []) if moment < until]
    unit = UNITS[lengths[0] if lengths else schema["window"]]
    return str(np.datetime64(moment, "ns").astype(f"datetime64[{unit}]"))


def _empty_window() -> Json:
    return {"rows": [], "completeness": "open", "coverage": [], "attributes": {}, "lineage": []}


def _merged(before: Json, change: Json) -> Json:
    return {name: value for name, value in {**before, **change}.items() if value is not None}


def _pin(pin: Any) -> list[Any]:
    return [pin.storage_class, list(pin.key), pin.version]


def told(schema: Any) -> Json:
    import msgspec

    return msgspec.to_builtins(schema)


def as_given(schema: Json, data: Json) -> Json:
    """The story's columns as a user has them."""
    from arraystore import Decimals

    given: Json = {}
    for column in schema["columns"] if data else []:
        name, values = column["name"], data.get(column["name"])
        if isinstance(values, tuple):
            values, given[f"{name}_valid"] = values[0], np.array(values[1], bool)
        if values is None:
            continue
        if column["kind"] not in ("text", "bytes", "dictionary"):
            values = np.array(values, column["dtype"])
        given[name] = Decimals(values, column["places"]) if column["kind"] == "decimal" else values
    return given


def main(name: str) -> None:
    place = golden.Golden(name)
    if place.place.exists():
        sys.exit(f"{place.place} is there: a golden store is never made again; give a new one another name, and a story in STORIES")
    fix_everything()
    from arraystore.classes import catalog
    from arraystore.versions import liveness

    liveness.machine, liveness.began = lambda: "golden", lambda _: "1"
    catalog.SNAPSHOT_AFTER = 1
    place.place.mkdir()
    books = importlib.import_module(f"tests.format.{STORIES[name]}").tell(place.store)
    expected = {"format": 1, "datasets": [book.to_json() for book in books]}
    place.expected.write_text(json.dumps(expected, separators=(",", ":")) + "\n")
    (place.place / "DIGEST").write_text(place.digest_now() + "\n")
    size = sum(path.stat().st_size for path in place.place.rglob("*") if path.is_file())
    print(f"{size} bytes, {len(books)} datasets")  # noqa: T201 - a script


if __name__ == "__main__":
    main(*sys.argv[1:])
