"""Reads a store that an attacker made, in a process with little memory and little time, and tells what happened. Run: `hostile ROOT…`."""

import contextlib
import hashlib
import json
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import arraystore
from arraystore.frames.frame import Frame

KEY = ("venue", "trades", "X")
SECONDS = int(os.environ.get("ARRAYSTORE_HOSTILE_SECONDS", "30"))
MEMORY_BYTES = int(os.environ.get("ARRAYSTORE_HOSTILE_BYTES", str(1 << 30)))
TOUCHING = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown", "shutil.")
RUNNING = (
    "exec",
    "compile",
    "import",
    "subprocess.",
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "os.system",
    "os.spawn",
    "pickle.",
    "marshal.",
)
REACHING = ("socket.connect", "socket.bind", "socket.getaddrinfo", "urllib.", "ctypes.dlopen", "cpython.")


def digest(frame: Frame) -> str:
    whole = hashlib.sha256()
    for name, array in sorted(frame.rows.arrays.items()):
        whole.update(name.encode() + array.tobytes())
    return whole.hexdigest()


def calls(root: Path) -> dict[str, Callable[[arraystore.Store], Any]]:
    """Everything that can be asked of a store, each with an answer in JSON."""

    def trades(store: arraystore.Store) -> arraystore.Dataset:
        return store.canonical[KEY]

    return {
        "read": lambda store: digest(trades(store).read()),
        "column": lambda store: digest(trades(store).read("2024-08-08", "2024-08-09", columns=["price"])),
        "versions": lambda store: [version.number for version in trades(store).versions()],
        "at": lambda store: digest(trades(store).at(2).read()),
        "manifests": lambda store: [manifest.to_json() for manifest in trades(store).manifests()],
        "file": lambda store: hashlib.sha256(trades(store).artifacts()["file"].read()).hexdigest(),
        "other": lambda store: digest(store.canonical["venue", "trades", "Y"].read()),
        "find": lambda store: sorted(map(list, store.canonical.find())),
        "changes": lambda store: sorted(change.version for change in store.canonical.changes()),
        "dependents": lambda store: [each.to_json() for each in store.dependents(trades(store))],
        "impact": lambda store: len(store.impact(trades(store))),
        "tags": lambda store: [store.tagged(name).to_json() for name in store.tags()],
        "verify": lambda store: len(trades(store).verify(deep=True)),
    }


def look(root: Path) -> dict[str, Any]:
    """Each call's answer, or the error it ended with."""
    told: dict[str, Any] = {}
    store = None
    for name, call in calls(root).items():
        try:
            store = store or arraystore.open_store(root, role="operations")
            told[name] = ["answer", call(store)]
        except arraystore.ArrayStoreError as error:
            told[name] = ["refused", f"{type(error).__name__}: {error!s:.300}"]
        except MemoryError:
            told[name] = ["strange", "MemoryError"]
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is told
            frame = list(traceback.walk_tb(error.__traceback__))[-1]  # to format it would compile
            told[name] = ["strange", f"{error!r:.300} at {frame[0].f_code.co_filename}:{frame[1]}"]
    return told


def confined(root: Path, report: int) -> None:
    """Look at one store within limits, watched by an audit hook; the report goes to a pipe."""
    strange: list[str] = []
    inside = (str(root), "/proc/self/fd", "/dev/null")

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(args[0], str) and args[0].startswith("/") and not args[0].startswith(inside):
            strange.append(f"open {args[0]}")
        elif event.startswith((*TOUCHING, *RUNNING, *REACHING)):
            strange.append(f"{event} {args!r:.120}")

    memory = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (memory + MEMORY_BYTES, memory + MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    signal.alarm(4 * SECONDS)  # a FIFO that is waited for takes no processor's time
    sys.addaudithook(hook)
    told: dict[str, Any] = {"calls": look(root), "events": strange[:20]}
    os.write(report, json.dumps(told).encode())


def in_a_child(root: Path) -> dict[str, Any]:
    """The report of a child that looked at one store; how it ended, if it gave none."""
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            os.close(ours)
            confined(root, theirs)
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        data = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return json.loads(data) if data else {"died": status}


def main(roots: list[str]) -> None:
    look(Path(roots[0]))  # what is imported late is imported now
    for root in roots[1:]:
        print(json.dumps({"root": root, **in_a_child(Path(root))}), flush=True)  # noqa: T201 - it is what the tests read


if __name__ == "__main__":
    main(sys.argv[1:])
