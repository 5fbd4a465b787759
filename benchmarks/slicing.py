"""`slice`: a minute of a day, on a dataset that is open, 1,000 at random. Isolates planning, opening and what is decoded in vain.

By turns of 25 in a row. The first of them, right after somebody else, is told beside the median.
"""

import statistics
from collections.abc import Iterable

import numpy as np

from benchmarks import frame, synthetic
from benchmarks.frame import Figure, Goal, Samples, Setting, ahead, best, enter, judged, take_turns
from benchmarks.tables.base import Data, Query

COLUMNS = {name: cell for name, cell in frame.COLUMNS.items() if name not in ("GB/s", "of the limit")} | {
    "p99 ms": lambda each: "" if each.p99 is None else f"{each.p99:,.2f}",
    "first of a block, ms": lambda each: "" if each.first is None else f"{each.first:,.2f}",
}
COLUMNS["goals"] = COLUMNS.pop("goals")
MINUTE = 60 * 10**9
FIVE = ("time", "bid_price", "bid_size", "ask_price", "ask_size")
BUDGET_SECONDS = 10.0
BLOCK = 25


def run(*, small: bool = False, setting: Setting | None = None) -> list[Figure]:
    """Five and twelve columns of quotes."""
    setting = setting or Setting(small=small)
    data = synthetic.quotes(setting.count(10_000_000, 300_000))
    minutes = 20 * setting.rounds if setting.rounds else (20 if setting.small else 1_000)
    return [each for columns in (FIVE, None) for each in _sliced(data, columns, setting, minutes)]


def random_minutes(data: Data, count: int, columns: tuple[str, ...] | None) -> list[Query]:
    """Minutes that begin anywhere in the day, the same for all contestants."""
    first, last = int(data.columns["time"][0]), int(data.columns["time"][-1])
    starts = np.random.default_rng(11).integers(first, last - MINUTE, count).tolist()
    return [Query(columns=columns, start=start, stop=start + MINUTE) for start in starts]


def _sliced(data: Data, columns: tuple[str, ...] | None, setting: Setting, count: int) -> list[Figure]:
    queries = random_minutes(data, count, columns)
    entrants = [each for each in enter(data, setting, queries=queries[:3]) if each.way.group not in frame.VARIANTS]
    width = len(columns or data.columns)
    told = Data(name=f"{data.name}, {width} columns", columns=data.columns)
    decoded = int(np.median([sum(values.nbytes for values in query.of(data).values()) for query in queries[:50]]))
    places = {each.way.name: iter(queries * 2) for each in entrants}
    calls = {each.way.name: lambda each=each: each.table.read(next(places[each.way.name])) for each in entrants}
    taken = take_turns(calls, count, budget_seconds=BUDGET_SECONDS, least=min(count, 30), block=BLOCK)
    by_name = {each.way.name: each for each in entrants}
    figures = [
        samples.figure(told, name, by_name[name].way.group, bytes=by_name[name].bytes, decoded=decoded, **_spread(samples))
        for name, samples in taken.items()
    ]
    return judged(figures, _goals)


def _spread(samples: Samples) -> dict[str, float]:
    return {"p99": float(np.quantile(samples.wall, 0.99)), "first": statistics.median(samples.wall[::BLOCK])}


def _goals(by_name: dict[str, Figure], figures: list[Figure]) -> Iterable[Goal]:
    mine = by_name["arraystore"]
    yield Goal(what="milliseconds, as 1 / median", wanted=1, found=1 / mine.milliseconds)
    yield from ahead(mine, figures, 3, "times the best peer", "peer", "parquet", "zarr")
    if (mapped := best(figures, "uncompressed")) is not None:
        yield Goal(what="times mapped files, nothing compressed or checked", wanted=0, found=mapped.milliseconds / mine.milliseconds)
