"""`scan`: a day, all columns, warm, into memory. Isolates decoding: nothing is left out, so the codecs' own speed is the limit."""

from collections.abc import Callable, Iterable

from benchmarks import frame, synthetic
from benchmarks.frame import Entrant, Figure, Goal, Setting, ahead, enter, judged, of, take_turns
from benchmarks.limit import Limit
from benchmarks.size import gold
from benchmarks.tables.base import EVERYTHING, Data, Query, check
from benchmarks.tables.ours import Dataset

COLUMNS = frame.COLUMNS


def run(*, small: bool = False, setting: Setting | None = None) -> list[Figure]:
    """Trades (5 columns), quotes (12) and XAUUSD, each by turns."""
    setting = setting or Setting(small=small)
    figures: list[Figure] = []
    for data in data_sets(setting):
        figures += scanned(data, setting)
    return figures


def data_sets(setting: Setting) -> Iterable[Data]:
    """One after another, so that one is in memory at a time."""
    rows = setting.count(10_000_000, 300_000)
    yield synthetic.trades(rows)
    yield synthetic.quotes(rows)
    yield gold(small=setting.small)


def scanned(data: Data, setting: Setting, query: Query = EVERYTHING) -> list[Figure]:
    """All contestants on one data set, and the limit beside them."""
    return contest(data, enter(data, setting, queries=(query,)), query, setting.turns())


def contest(data: Data, entrants: list[Entrant], query: Query, rounds: int) -> list[Figure]:
    """Take turns at one query; the figures are judged."""
    mine = next(each for each in entrants if each.way.group == "ours")
    assert isinstance(mine.table, Dataset)
    wanted = query.of(data)
    limit = Limit(mine.table.dataset, query.columns)
    for name, decode in (("fresh", limit.fresh), ("reused", limit.reused), ("copied", limit.copied)):
        check(f"the limit, {name} memory", decode(), wanted)
    calls: dict[str, Callable[[], object]] = {each.way.name: lambda each=each: each.table.read(query) for each in entrants}  # type: ignore[misc]
    beside = {"limit, reused memory": limit.reused, "limit, fresh memory": limit.fresh, "memcpy": limit.copied}
    groups = {"limit, reused memory": "limit", "limit, fresh memory": "limit-fresh", "memcpy": "memcpy"}
    groups |= {each.way.name: each.way.group for each in entrants}
    sizes = {each.way.name: each.bytes for each in entrants}
    taken = take_turns(calls | beside, rounds)
    decoded = sum(values.nbytes for values in wanted.values())
    figures = [samples.figure(data, name, groups[name], bytes=sizes.get(name), decoded=decoded) for name, samples in taken.items()]
    return judged(figures, goals)


def goals(by_name: dict[str, Figure], figures: list[Figure]) -> Iterable[Goal]:
    """What a scan must show."""
    mine = by_name["arraystore"]
    limit, fresh = by_name["limit, reused memory"], by_name["limit, fresh memory"]
    yield of(mine, limit, 0.9, "of the limit, reused memory")
    if "arraystore, out=" in by_name:
        yield of(by_name["arraystore, out="], limit, 0.9, "of the limit, reused memory, with out=")
    if "arraystore, fresh memory" in by_name:
        yield of(by_name["arraystore, fresh memory"], fresh, 0.9, "of the limit, fresh memory")
    yield from ahead(mine, figures, 1, "times the best peer", "peer", "parquet", "zarr")
    yield from ahead(mine, figures, 1, "times np.load, nothing compressed or checked", "uncompressed")
    yield from ahead(mine, figures, 2, "times the best Parquet reader", "parquet")
    yield from ahead(mine, figures, 1.25, "times the best Zarr pipeline on the same bytes", "zarr")
