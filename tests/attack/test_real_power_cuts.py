"""A real file system, on a loop device, shut down without a flush while a writer is at work: what was acknowledged is there afterwards.

Needs Linux, root and the tools of ext4; skipped elsewhere. `pytest -m slow -n 0 --log-cli-level=INFO tests/attack/test_real_power_cuts.py`
tells how many cuts there were, and what was done between them.
"""

import logging
import os
import signal
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.attack import deeds
from tests.attack.media import Medium, can_mount
from tests.processes import forked, running

CUTS = 320
CUTS_PER_DATASET = 20

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600), can_mount]


def while_it_works(medium: Medium, _: Any, acks: Any, random: np.random.Generator) -> list[int]:
    """At any moment of whatever it does."""
    time.sleep(float(random.random()) * 0.5)
    medium.shut_down()
    return until_failure(acks)


def at_once(medium: Medium, _: Any, acks: Any, random: np.random.Generator) -> list[int]:
    """As soon as something was acknowledged."""
    acked = [acks.recv() for _ in range(1 + int(random.integers(0, 8)))]
    medium.shut_down()
    return acked + until_failure(acks)


def after_the_journals_delay(medium: Medium, process: Any, acks: Any, random: np.random.Generator, delay: float) -> list[int]:
    """While the writer is suspended in the middle of something, which the journal, or a part of it, has written by itself meanwhile."""
    acked = [acks.recv() for _ in range(int(random.integers(0, 4)))]
    time.sleep(float(random.random()) * 0.05)
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(float(random.random()) * delay)
    medium.shut_down()
    process.kill()
    return acked + until_failure(acks)


def until_failure(acks: Any) -> list[int]:
    """All that was acknowledged, until the writer noticed that it can't write any more."""
    acked = []
    with suppress(EOFError):
        while True:
            acked.append(acks.recv())
    return acked


def cut(medium: Medium, number: int, url: Path, key: tuple[str, str, str], first: int) -> list[int]:
    """One writer, and the end of its medium; what was acknowledged. The journal writes every 5 s by default, here mostly each second."""
    random = np.random.default_rng((3, number))
    options = [] if number % 10 == 0 else ["commit=1"]
    with (
        medium.mounted(*options),
        running(forked("tests.attack.deeds"), deeds.work, str(url), key, number // CUTS_PER_DATASET, first=first) as (process, acks),
    ):
        assert acks.recv() == "ready"
        if number % 10 == 0:
            return after_the_journals_delay(medium, process, acks, random, 6.0)
        if number % 3 == 0:
            return after_the_journals_delay(medium, process, acks, random, 1.6)
        return (while_it_works if number % 3 == 1 else at_once)(medium, process, acks, random)


def test_after_each_cut_what_was_acknowledged_is_there(tmp_path: Path) -> None:
    medium = Medium(tmp_path)
    url, done, halves, packed = medium.place / "store", 0, 0, 0
    kinds: Counter[str] = Counter()
    with medium.mounted(), running(forked("tests.attack.deeds"), deeds.work, str(url), ("venue", "trades", "first"), 0) as (_, acks):
        assert acks.recv() == "ready"
        assert acks.recv() == 0
    for number in range(CUTS):
        seed = number // CUTS_PER_DATASET
        key = ("venue", "trades", f"X{seed}")
        done = 0 if number % CUTS_PER_DATASET == 0 else done
        acked = cut(medium, number, url, key, done)
        assert acked == list(range(done, done + len(acked)))
        with medium.mounted(), running(forked("tests.attack.deeds"), deeds.tell, str(url), key) as (_, answer):
            found, problems = answer.recv()
            packed += any((url / "canonical" / Path(*key)).glob("_packs/*"))
        before = done
        done += len(acked)
        kinds.update(deeds.deed(seed, each).kind for each in range(before, done))
        assert problems == [], f"cut {number}"
        if found != deeds.outcome(seed, done).told():
            assert found == deeds.outcome(seed, done + 1).told(), f"cut {number}: deeds {before} to {done - 1} were acknowledged"
            done, halves = done + 1, halves + 1
    told = "%d cuts, %d of them with commits in packs; acknowledged before them: %s; there without it: %d"
    logging.getLogger(__name__).info(told, CUTS, packed, dict(kinds), halves)
    assert kinds.total() > CUTS, "there was something to lose"
    assert set(kinds) == {"create", *deeds.WEIGHTS}
    assert packed > CUTS // 10
