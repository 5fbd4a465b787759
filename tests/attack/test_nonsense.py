"""Every public method of a store, a surface and a dataset, with nonsense for each of its arguments in turn."""

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import arraystore
from tests.attack.conftest import tree
from tests.attack.nonsense import DAY_NAME, KEY, TRADES, Opaque
from tests.store.conftest import rows

VALUES: dict[str, Any] = {
    "object": Opaque(),
    "number": 5,
    "below zero": -1,
    "huge": 10**40,
    "fraction": 1.5,
    "not a number": float("nan"),
    "bytes": b"bytes",
    "NUL": "a\0b",
    "surrogate": "\ud800",
    "dots": "../..",
    "array": np.arange(3.0),
    "list of objects": [Opaque()],
    "mapping": {"a": Opaque()},
}
GOOD: dict[str, Any] = {
    "window": DAY_NAME,
    "reason": "a reason",
    "data": rows(1, first=9),
    "schema": TRADES,
    "key": KEY,
    "name": "name",
    "symbol": "X",
    "venue": "venue",
    "at": DAY_NAME,
    "before": 1,
    "after": 2,
    "version": 1,
    "source": b"x",
    "start": DAY_NAME,
    "end": "2024-08-09",
    "storage_class": "canonical",
    "times": [DAY_NAME],
    "keys": [KEY],
}
LEFT = {"refresh", "verify", "lint", "rebuild_lineage", "lock", "commits", "logs", "side", "commit", "check_pins", "make_durable", "follow"}
"""Without arguments of a user's, or used inside; `follow` waits by its nature."""
WRITING = {
    "append",
    "append_stream",
    "appender",
    "replace",
    "withdraw",
    "evolve",
    "update",
    "delete",
    "create",
    "tag",
    "add_file",
    "compact",
}
"""Some of the values are well as a reason, a name or an attribute."""
ACCEPTING = {"deep", "dry_run", "exist_ok", "repeat", "reopen", "reconcile", "only_standing", "durable", "sealed", "known_at"}
"""Flags: anything is true or false."""


class Stores:
    """A store, its surfaces and a dataset of some versions."""

    def __init__(self, root: Path) -> None:
        self.root = root
        store = arraystore.open_store(root, role="data-quality", create=True)
        store.canonical.create(KEY, TRADES).append(rows(8))
        self.store, self.surface = store, store.canonical
        self.dataset = store.canonical[KEY]
        self.tree = tree(root)


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    return Stores(tmp_path / "store")


def calls() -> Iterator[tuple[str, str, str, str]]:
    """Owner, method, argument and value."""
    for owner, kind in {"store": arraystore.Store, "surface": arraystore.Surface, "dataset": arraystore.Dataset}.items():
        for name, method in inspect.getmembers(kind, inspect.isfunction):
            if name.startswith("_") or name in LEFT:
                continue
            for argument in list(inspect.signature(method).parameters.values())[1:]:
                if argument.kind is not argument.VAR_KEYWORD and argument.name not in ACCEPTING:
                    for value in VALUES:
                        yield owner, name, argument.name, value


def arguments(method: Callable[..., Any], wrong: str, value: Any) -> dict[str, Any]:
    """Good values for all arguments that must be given but one."""
    given = {
        name: GOOD[name]
        for name, parameter in inspect.signature(method).parameters.items()
        if parameter.default is parameter.empty and name in GOOD
    }
    return given | {wrong: value}


CALLS = list(calls())


def met(stores: Stores, owner: str, name: str, argument: str, value: str) -> str:
    """How nonsense is met, if not as it should be."""
    method = getattr(getattr(stores, owner), name)
    try:
        found = method(**arguments(method, argument, VALUES[value]))
        if inspect.isgenerator(found) or isinstance(found, map):
            list(found)
    except (arraystore.ArrayStoreError, TypeError, ValueError) as error:
        return "" if len(str(error)) > 15 else f"{error!r} says little"
    except Exception as error:  # noqa: BLE001 - whatever it is, the caller can't know what to do about it
        return repr(error)[:200]
    return ""


def test_there_are_many_calls() -> None:
    names = {name for _, name, _, _ in CALLS}
    assert {"withdraw", "delete", "tag", "resolve", "evolve", "diff", "replace", "read", "find", "changes", "compact"} <= names
    assert len(CALLS) > 800


@pytest.mark.parametrize(("owner", "name"), sorted({(owner, name) for owner, name, _, _ in CALLS}))
def test_nonsense_for_each_argument_is_refused_in_words(stores: Stores, owner: str, name: str) -> None:
    wrong = {call[2:]: problem for call in CALLS if call[:2] == (owner, name) and (problem := met(stores, *call))}
    assert not wrong
    if name not in WRITING:
        assert tree(stores.root) == stores.tree, "what is refused leaves nothing behind"
