"""`recorder`: 300 instruments on 10 feeds, 20,000 messages a second through appenders, for minutes or hours. Isolates what grows."""

import json
import multiprocessing
import os
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import arraystore

FEEDS = 10
INSTRUMENTS_PER_FEED = 30
MESSAGES_PER_SECOND = 20_000
TICK_SECONDS = 0.02
POOL = 20_000
INTERVALS = 12  # and what comes after the last of them until all is durable
COMPACT_SECONDS = 60.0
COLUMNS = {
    "seconds": lambda each: f"{each.seconds:.0f}",
    "messages": lambda each: f"{each.messages:,}",
    "CPU, % of a core": lambda each: f"{each.cpu_percent:.0f}",
    "memory, MiB": lambda each: f"{each.memory_mib:.0f}",
    "files": lambda each: f"{each.files:,}",
    "on disk, MiB": lambda each: f"{each.disk_mib:.0f}",
    "bytes a message": lambda each: f"{each.ratio:.1f}",
    "acknowledged after ms: median, 99 %, most": lambda each: " / ".join(f"{value:.0f}" for value in each.latency_ms),
    "most rows at risk": lambda each: f"{each.at_risk:,}",
    "recorder late, ms": lambda each: f"{each.late_ms:.0f}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """What was seen since the row before; messages, files and bytes from the beginning."""

    data: str
    contestant: str
    seconds: float
    messages: int
    cpu_percent: float
    memory_mib: float
    files: int
    disk_mib: float
    latency_ms: tuple[float, float, float]
    at_risk: int
    late_ms: float

    @property
    def ratio(self) -> float:
        """Bytes on disk for each message, blocks that are partly used and all."""
        return self.disk_mib * 2**20 / max(self.messages, 1)


@dataclass(slots=True)
class _Watch:
    """What appenders and the recorder tell while an interval lasts."""

    latencies: list[float] = field(default_factory=list)
    at_risk: int = 0
    late: float = 0.0
    guard: threading.Lock = field(default_factory=threading.Lock)

    def committed(self, done: arraystore.Committed[arraystore.Receipt]) -> None:
        with self.guard:
            self.latencies.append(done.seconds * 1e3)

    def take(self) -> tuple[tuple[float, float, float], int, float]:
        with self.guard:
            found = np.array(self.latencies or [0.0])
            taken = (tuple(np.percentile(found, (50, 99, 100)).tolist()), self.at_risk, self.late * 1e3)
            self.latencies, self.at_risk, self.late = [], 0, 0.0
        return taken


def run(*, small: bool, seconds: float | None = None) -> list[Interval]:
    """The load for so many seconds (by default five minutes), in twelve intervals; every message is counted at the end."""
    seconds = seconds or (1.5 if small else 300.0)
    rate = 2_000 if small else MESSAGES_PER_SECOND
    with tempfile.TemporaryDirectory() as place:
        store = arraystore.open_store(place, role="data-recording", create=True)
        feeds = [
            store.raw.create(("venue", f"feed-{number}", "recorder"), arraystore.schema_by_name("raw_messages")) for number in range(FEEDS)
        ]
        watch = _Watch()
        keeper = multiprocessing.get_context("spawn").Process(target=_keep, args=(place,))
        keeper.start()
        try:
            measured, sent = _record(feeds, Path(place), rate, seconds, watch)
        finally:
            keeper.kill()
            keeper.join()
        assert sum(dataset.refresh().rows for dataset in feeds) == sent
        sample = feeds[0].read(columns=["sequence"])["sequence"]
        assert (sample == np.arange(len(sample))).all(), "in order, none twice"
        return measured


def _record(feeds: list[arraystore.Dataset], place: Path, rate: int, seconds: float, watch: _Watch) -> tuple[list[Interval], int]:
    pools = [_pool(number) for number in range(len(feeds))]
    per_tick = max(1, round(rate * TICK_SECONDS / len(feeds)))
    appenders = [feed.appender(max_seconds=1.0, max_rows=20_000, writer="recorder", on_commit=watch.committed) for feed in feeds]
    measured: list[Interval] = []
    begin = mark = time.perf_counter()
    cpu, sent = time.process_time(), 0
    label = f"{FEEDS * INSTRUMENTS_PER_FEED} instruments, {per_tick * len(feeds) / TICK_SECONDS:,.0f} messages/s"
    for tick in range(round(seconds / TICK_SECONDS)):
        due = begin + tick * TICK_SECONDS
        if (early := due - time.perf_counter()) > 0:
            time.sleep(early)
        for appender, pool in zip(appenders, pools, strict=True):
            appender.append(_messages(pool, tick * per_tick, per_tick))
            sent += per_tick
        now = time.perf_counter()
        watch.late = max(watch.late, now - due)
        watch.at_risk = max(watch.at_risk, sum(appender.accepted - appender.acknowledged for appender in appenders))
        if now - mark >= seconds / INTERVALS:
            percent = 100 * (time.process_time() - cpu) / (now - mark)
            measured.append(_interval(label, place, now - begin, sent, percent, watch))
            mark, cpu = time.perf_counter(), time.process_time()
    for appender in appenders:
        appender.close()
    percent = 100 * (time.process_time() - cpu) / (time.perf_counter() - mark)
    measured.append(_interval(label, place, time.perf_counter() - begin, sent, percent, watch))
    return measured, sent


def _interval(label: str, place: Path, seconds: float, sent: int, percent: float, watch: _Watch) -> Interval:
    latency, at_risk, late = watch.take()
    files, size = _on_disk(place)
    memory = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    return Interval(
        data=label,
        contestant="arraystore",
        seconds=seconds,
        messages=sent,
        cpu_percent=percent,
        memory_mib=memory,
        files=files,
        disk_mib=size / 2**20,
        latency_ms=latency,
        at_risk=at_risk,
        late_ms=late,
    )


def _on_disk(place: Path) -> tuple[int, int]:
    """Files, and bytes of their blocks; what maintenance removes meanwhile isn't counted."""
    files = size = 0
    pending = [str(place)]
    while pending:
        with suppress(FileNotFoundError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                    continue
                with suppress(FileNotFoundError):
                    size += entry.stat().st_blocks * 512
                    files += 1
    return files, size


def _keep(place: str) -> None:
    """What operations does beside a recorder, in a process of its own, every minute: many small segments become one, and go."""
    while True:
        time.sleep(COMPACT_SECONDS)
        store = arraystore.open_store(place, role="operations")
        store.compact("raw/*", tiered=True)
        for _ in ("mark", "end"):
            store.expire("raw/*", keep_versions=1, keep="1s", delay="0s", reason="compacted", dry_run=False)
        store.gc("raw/*", dry_run=False, grace="10s")


def _pool(feed: int) -> tuple[bytes, np.ndarray, np.ndarray, tuple[str, ...]]:
    """Messages of a feed, back to back, where each begins, its channel, and the channels."""
    random = np.random.default_rng(feed)
    names = [f"INSTRUMENT{feed * INSTRUMENTS_PER_FEED + number}" for number in range(INSTRUMENTS_PER_FEED)]
    prices = random.uniform(1, 60_000, INSTRUMENTS_PER_FEED)
    chosen = random.integers(0, INSTRUMENTS_PER_FEED, POOL)
    moves = np.cumsum(random.normal(0, 1e-5, POOL))
    sizes = random.exponential(0.3, POOL)
    messages = []
    for number, (which, move, size) in enumerate(zip(chosen.tolist(), moves.tolist(), sizes.tolist(), strict=True)):
        bid = prices[which] * (1 + move)
        told = {"e": "bookTicker", "u": 5_100_000_000_000 + number * 17, "s": names[which], "b": f"{bid:.2f}", "B": f"{size:.3f}"}
        told |= {"a": f"{bid * 1.0001:.2f}", "A": f"{size * 1.7:.3f}", "T": 1_721_260_800_000 + number, "E": 1_721_260_800_003 + number}
        messages.append(json.dumps({"stream": f"{names[which].lower()}@bookTicker", "data": told}, separators=(",", ":")).encode())
    ends = np.cumsum([0, *map(len, messages)])
    return b"".join(messages), ends, chosen.astype(np.int32), tuple(f"{name.lower()}@bookTicker" for name in names)


def _messages(pool: tuple[bytes, np.ndarray, np.ndarray, tuple[str, ...]], first: int, count: int) -> dict[str, object]:
    """So many messages as they come from a socket: the pool, again and again, at the time of the call."""
    data, ends, chosen, channels = pool
    start = first % (POOL - count)
    offsets = ends[start : start + count + 1] - ends[start]
    zeros = np.zeros(count, np.int32)
    return {
        "time": np.full(count, time.time_ns()),
        "sequence": np.arange(first, first + count, dtype=np.uint64),
        "direction": np.ones(count, np.int8),
        "connection": arraystore.Labels(zeros, ("c1",)),
        "channel": arraystore.Labels(chosen[start : start + count], channels),
        "encoding": arraystore.Labels(zeros, ("json",)),
        "payload": arraystore.Ragged(np.frombuffer(data, np.uint8, int(offsets[-1]), int(ends[start])), offsets),
    }
