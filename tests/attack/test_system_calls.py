"""A writer is killed, or told by the kernel that something failed, at each system call of what it does.

Needs strace. `pytest -m slow -n 0 --log-cli-level=INFO tests/attack/test_system_calls.py` does all and tells how many.
"""

import logging
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attack import deeds
from tests.attack.deeds import Deed, Doer, Outcome
from tests.attack.traced import KEY, calls, can_trace, traced, writing

pytestmark = can_trace

BEFORE = [
    Deed(number=0, kind="create"),
    Deed(number=1, kind="spread", counts=(5, 6_000)),
    Deed(number=2, kind="small", counts=(7,)),
    Deed(number=3, kind="replace", counts=(6_000,), day=1),
    Deed(number=4, kind="small", counts=(3,)),
]
PACKABLE = [
    *BEFORE,
    Deed(number=7, kind="checkpoint", counts=(2,)),
    Deed(number=8, kind="small", counts=(2,)),
    Deed(number=9, kind="pack"),
    Deed(number=10, kind="small", counts=(2,)),
    *(Deed(number=11 + each, kind="checkpoint", counts=(40,)) for each in range(5)),
    Deed(number=16, kind="small", counts=(1,)),
]
"""With a pack, and so many commits after it that it goes into the next one with them."""
WHAT = {
    "append a tail": Deed(number=5, kind="small", counts=(5,)),
    "append a segment": Deed(number=5, kind="large", counts=(6_000,)),
    "replace": Deed(number=5, kind="replace", counts=(6_000,)),
    "compact": Deed(number=5, kind="compact"),
    "add a file": Deed(number=5, kind="file", size=100_000),
    "expire and collect": Deed(number=5, kind="collect"),
    "pack": Deed(number=17, kind="pack"),
    "create": Deed(number=0, kind="create"),
}
NEXT = Deed(number=6, kind="small", counts=(4,))

OF_MEMORY_AND_THREADS = frozenset(
    [
        "brk",
        "exit",
        "futex",
        "getpid",
        "gettid",
        "getrandom",
        "madvise",
        "mmap",
        "mprotect",
        "mremap",
        "munmap",
        "prlimit64",
        "recvfrom",
        "rseq",
        "rt_sigprocmask",
        "sendto",
        "set_robust_list",
        "sched_yield",
        "getcwd",
    ]
)
"""They touch nothing that lies on disk; a kill between two others is one at the second."""

ERRORS = {
    "write": ("ENOSPC", "EIO"),
    "fsync": ("EIO", "ENOSPC"),
    "fdatasync": ("EIO", "ENOSPC"),
    "pwrite64": ("ENOSPC", "EIO"),
    "sync_file_range": ("EIO",),
    "linkat": ("ENOSPC", "EIO"),
    "renameat": ("ENOSPC", "EIO"),
    "mkdirat": ("ENOSPC", "EIO"),
    "unlinkat": ("EIO",),
    "openat": ("EMFILE", "EIO", "EACCES"),
    "openat2": ("EMFILE", "EIO"),
    "pread64": ("EIO",),
    "getdents64": ("EIO",),
    "flock": ("ENOLCK",),
}


class Trials:
    """Copies of one store, each for one attempt."""

    def __init__(self, folder: Path, deed: Deed) -> None:
        self._folder, self._store, self.log = folder, folder / "store", folder / "log"
        self.deed, self.before = deed, Outcome()
        doer = Doer(str(self._store), KEY)
        for each in {"create": [], "pack": PACKABLE}.get(deed.kind, BEFORE):
            doer.do(each)
            self.before = self.before.after(each)
        self.after = self.before.after(deed)
        self.told: Counter[str] = Counter()

    def fresh(self) -> Path:
        place = self._folder / "trial"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self._store, place)
        return place

    def count(self) -> dict[str, int]:
        """How often each system call is made."""
        with writing(self.fresh(), [self.deed]) as writer, traced(writer, self.log):
            assert writer.do() == ["", ""]
        return {name: count for name, count in calls(self.log).items() if name not in OF_MEMORY_AND_THREADS}

    def kill(self, call: str, number: int) -> None:
        """Killed before that call: all or nothing is there, and the next writer goes on."""
        place = self.fresh()
        with (
            writing(place, [self.deed]) as writer,
            traced(writer, self.log, f"--inject={call}:signal=KILL:when={number}"),
        ):
            acked = writer.do()
        self.told["killed" if acked is None else "finished"] += 1
        where = f"killed at {call} number {number}"
        found = self._there(place, where)
        assert found == self.after or (found == self.before and acked is None), where
        following = NEXT if found.exists else self.deed
        Doer(str(place), KEY).do(following)
        assert self._there(place, where) == found.after(following), where

    def fail(self, call: str, number: int, error: str, *, lasting: bool) -> None:
        """That call fails (and later ones): the error is told, nothing is half there, and the very same handles go on afterwards."""
        place = self.fresh()
        where = f"{call} number {number} failed with {error}{' for good' if lasting else ''}"
        following = self.deed if self.deed.kind == "create" else NEXT
        with writing(place, [self.deed, following]) as writer:
            with traced(writer, self.log, f"--inject={call}:error={error}:when={number}{'+' if lasting else ''}"):
                answer = writer.do()
            assert answer is not None, where
            name, text = answer
            where = f"{where}: {name}: {text}"
            self.told[name or "went on"] += 1
            found = self._there(place, where)
            if not name:
                assert found == self.after, where
            elif name != "CommitUnknown":
                assert name in ("StorageError", "AccessDenied", "Corrupt"), where
                assert found == self.before, where
            assert writer.do() == ["", ""], f"{where}, and then nothing works"
        assert self._there(place, where) == found.after(following), where

    def _there(self, place: Path, where: str) -> Outcome:
        """Which outcome a fresh reader finds: none of half a deed."""
        found, problems = deeds.look(str(place), KEY)
        assert problems == [], where
        ways = [self.before, self.after]
        for way in (*ways, *(way.after(NEXT) for way in ways if way.exists)):
            if way.told() == found:
                return way
        pytest.fail(f"{where}: what is there is none of what may be there")


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory where that is possible: thousands of stores are made."""
    place = Path(tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
    yield place
    shutil.rmtree(place)


def told(told: Counter[str]) -> None:
    logging.getLogger(__name__).info("%s", dict(told))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("what", WHAT)
def test_a_writer_that_is_killed_at_any_system_call_leaves_all_or_nothing(folder: Path, what: str) -> None:
    trials = Trials(folder, WHAT[what])
    counts = trials.count()
    for call, count in counts.items():
        for number in range(1, count + 1):
            trials.kill(call, number)
    told(trials.told)
    assert trials.told["killed"] > 0.9 * sum(counts.values()), "threads share calls differently from time to time"


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("what", WHAT)
def test_whichever_system_call_fails_the_error_says_what_became_of_it(folder: Path, what: str) -> None:
    trials = Trials(folder, WHAT[what])
    counts = trials.count()
    for call, errors in ERRORS.items():
        for number in range(1, counts.get(call, 0) + 1):
            for error in errors:
                trials.fail(call, number, error, lasting=False)
            trials.fail(call, number, errors[0], lasting=True)
    told(trials.told)
    assert trials.told["StorageError"] > 10


def test_system_calls_kill_and_fail_as_they_are_told(folder: Path) -> None:
    """The tool itself, at the moments that matter most: the sync of the commit, and the call that makes it appear."""
    trials = Trials(folder, WHAT["append a tail"])
    counts = trials.count()
    trials.kill("linkat", counts["linkat"])
    trials.kill("fdatasync", counts["fdatasync"])
    trials.kill("fsync", counts["fsync"])
    trials.fail("fsync", counts["fsync"], "EIO", lasting=False)
    trials.fail("fdatasync", counts["fdatasync"], "EIO", lasting=False)
    trials.fail("linkat", counts["linkat"], "ENOSPC", lasting=True)
    assert trials.told == {"killed": 3, "CommitUnknown": 1, "StorageError": 2}
