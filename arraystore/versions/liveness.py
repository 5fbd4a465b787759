"""Whether a process that took up some work still does it: who it is, and signs of life that cost next to nothing."""

import os
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from arraystore.errors import ArrayStoreError, NotFound
from arraystore.storage.base import Storage
from arraystore.versions.draft import HOST
from arraystore.versions.fetch import fetch_number

HEARTBEAT_SECONDS = 30.0
SILENCE_SECONDS = 300.0
"""Who gave no sign of life for so long counts as gone, wherever it runs; clocks of hosts must agree better than that."""

_PROC = Path("/proc")


class Owner(msgspec.Struct, frozen=True, omit_defaults=True):
    """A process. `machine` names the boot and the process namespace in which its number means something, `began` its start there.

    Both are empty where the system can't tell them.
    """

    host: str
    process: int
    machine: str = ""
    began: str = ""

    def is_gone(self) -> bool:
        """Whether the process surely has ended: told on its own machine only, elsewhere never."""
        return bool(self.began) and self.machine == machine() and began(self.process) != self.began


def this_process() -> Owner:
    """Who is calling."""
    return Owner(HOST, os.getpid(), machine(), began(os.getpid()))


def machine() -> str:
    """The boot and the process namespace, or nothing where that can't be told."""
    try:
        return f"{(_PROC / 'sys/kernel/random/boot_id').read_text().strip()}/{(_PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return ""


def began(process: int) -> str:
    """When a process began, in the kernel's own count, since its number is given to another one later; nothing for an ended one."""
    try:
        state, *fields = (_PROC / str(process) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state in "ZX" else fields[18]  # field 22 of proc(5); a zombie has ended, though nobody has asked for its status yet


class Heartbeat:
    """A hint beside a log, replaced again and again from a thread of its own until stopped, or until `owner` isn't used any more."""

    def __init__(self, storage: Storage, prefix: str, owner: object, every: float = HEARTBEAT_SECONDS) -> None:
        self._storage, self._key = storage, _key(prefix)
        self._stopped = threading.Event()
        weakref.finalize(owner, self._stopped.set)
        beat = _beat_of(storage, self._key)
        self._thread = threading.Thread(target=_keep_beating, args=(beat, self._stopped, every), name="arraystore-heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """No more signs of life, and no trace of those there were."""
        self._stopped.set()
        self._thread.join(HEARTBEAT_SECONDS)
        with suppress(ArrayStoreError):
            self._storage.delete(self._key)


def last_heartbeat(storage: Storage, prefix: str) -> int:
    """When the last sign of life was given (ns since 1970, the giver's clock); 0 for none."""
    try:
        return fetch_number(storage, _key(prefix))
    except (NotFound, ValueError):
        return 0


def is_silent(signs: int, now: int) -> bool:
    """Whether the last sign of life is too long ago."""
    return now - signs > SILENCE_SECONDS * 1e9


def _key(prefix: str) -> str:
    return f"{prefix}/_log/alive"


def _beat_of(storage: Storage, key: str) -> Callable[[], None]:
    def beat() -> None:
        with suppress(ArrayStoreError):
            storage.put(key, str(time.time_ns()).encode(), durable=False)

    return beat


def _keep_beating(beat: Callable[[], None], stopped: threading.Event, every: float) -> None:
    """The first sign comes late: whoever begins has just committed something, and most work is short."""
    while not stopped.wait(every):
        beat()
