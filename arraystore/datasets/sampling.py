"""Some rows of a dataset, drawn at random, in reading order; only chunks that hold any are decoded."""

from collections.abc import Iterable

import numpy as np

from arraystore.datasets.parts import load_parts
from arraystore.frames.rows import Rows, concat, empty
from arraystore.segments.picking import pick_rows
from arraystore.segments.plan import runs_of
from arraystore.versions.log import Log
from arraystore.versions.state import State
from layouts.schema import Schema


def draw(total: int, count: int, random: np.random.Generator) -> np.ndarray:
    """So many different numbers below `total`, ascending, each set of them as likely as any other; memory as for the result."""
    if count >= total:
        return np.arange(total)
    if count > total // 2:
        left_out = np.ones(total, np.bool_)
        left_out[draw(total, total - count, random)] = False
        return np.flatnonzero(left_out)
    found = np.zeros(0, np.int64)
    while len(found) < count:
        found = np.union1d(found, random.integers(total, size=count - len(found) + count // 8 + 16))
    return np.sort(random.permutation(found)[:count])


def sample_rows(
    log: Log,
    state: State,
    windows: Iterable[str],
    schema: Schema,
    columns: Iterable[str],
    *,
    count: int,
    seed: int,
    threads: int | None,
) -> Rows:
    """So many rows of these windows (named as on disk), or all of fewer."""
    names = list(windows)
    ends = np.cumsum([state.summary(name).rows for name in names], dtype=np.int64)
    picked = draw(int(ends[-1]) if len(ends) else 0, count, np.random.default_rng(seed))
    pieces, begun = [], 0
    for name, end in zip(names, ends.tolist(), strict=True):
        own = picked[np.searchsorted(picked, begun) : np.searchsorted(picked, end)] - begun
        begun = end
        if len(own):
            with log.explained(state.version, [name]):
                parts = load_parts(log, state, state.window(name))
                pieces.append(pick_rows(log.storage, parts, schema, runs_of(own), columns, threads))
    return concat(pieces) if pieces else empty(schema).project(columns)
