"""A seeded market that sends what Binance USD-M futures sends, so that the demo runs where no recorded captures are.

A random walk moves the best prices by ticks; between moves come trades, book tickers and depth updates, each with the ids a real stream
has, and a depth snapshot once per file. The same arguments give the same bytes on every machine and NumPy version that keeps its streams.
"""

import gzip
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

NS_PER_MS = 1_000_000
NS_PER_SECOND = 1_000_000_000
LEVELS = 20
MOVING, JUMP_TICKS, MOOD_SECONDS = 0.06, 6, 9.0  # share of book tickers that move each way, how far, how long
MIDNIGHT = 1_721_347_200 * NS_PER_SECOND  # 2024-07-19T00:00Z
EVENING = 1_723_161_240 * NS_PER_SECOND  # 2024-08-08T23:54Z


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """What is simulated: sizes have three decimals, prices as many as the tick has."""

    symbol: str
    price: float
    tick: float
    places: int


ALPHA = Instrument(symbol="ALPHAUSDT", price=61_800.0, tick=0.1, places=2)
BETA = Instrument(symbol="BETAUSDT", price=2_680.0, tick=0.01, places=2)
GAMMA = Instrument(symbol="GAMMAUSDT", price=142.0, tick=0.01, places=3)


class Market:
    """One instrument's matching engine and stream; `lines` may be called again and goes on where it stopped."""

    def __init__(self, instrument: Instrument, *, seed: int, start: int, interval_ns: int) -> None:
        self._instrument = instrument
        self._random = np.random.default_rng(seed)
        self._interval = interval_ns
        self._clock = start
        self._bid = round(instrument.price / instrument.tick)
        self._update = self._previous = 5_000_000_000_000 + seed
        self._trade = 4_000_000_000 + seed
        self._mood, self._mood_until = 0.0, start

    def lines(self, count: int) -> Iterator[bytes]:
        """The next `count` lines of a capture, each with its newline; the second of them is a depth snapshot."""
        uniform, sizes = self._random.random((count, 3)), self._random.gamma(0.6, 1.5, (count, 2))
        gaps = np.maximum(1_000, self._random.exponential(self._interval, count)).astype(np.int64)
        delays = self._random.gamma(3.0, 0.6e6, count).astype(np.int64)
        captured = np.maximum.accumulate(self._clock + np.cumsum(gaps) + delays)
        for row in range(count):
            self._clock += int(gaps[row])
            self._change_mood()
            kind, step, side = uniform[row]
            if row == 1:
                message = self._snapshot()
            elif kind < 0.2:
                message = self._trade_message(side < 0.5 + self._mood, sizes[row, 0])
            elif kind < 0.3:
                message = self._depth()
            else:
                message = self._ticker(step, sizes[row])
            yield b"%d %s\n" % (captured[row], message.encode())

    def _change_mood(self) -> None:
        """Every few seconds other people trade: the share of buyers changes, and the price leans their way."""
        while self._clock >= self._mood_until:
            self._mood = float(self._random.uniform(0.28, 0.48) * self._random.choice([-1.0, 1.0]))
            self._mood_until += int(self._random.exponential(MOOD_SECONDS) * NS_PER_SECOND) + NS_PER_SECOND

    def _price(self, ticks: int) -> str:
        return f"{ticks * self._instrument.tick:.{self._instrument.places}f}"

    def _ms(self) -> int:
        return self._clock // NS_PER_MS

    def _wrap(self, stream: str, data: str) -> str:
        return f'{{"stream":"{self._instrument.symbol.lower()}@{stream}","data":{{{data}}}}}'

    def _trade_message(self, is_buy: bool, size: float) -> str:  # noqa: FBT001 - the aggressor's side
        self._trade += 1
        price, ms = self._price(self._bid + is_buy), self._ms()
        maker = "false" if is_buy else "true"
        data = f'"e":"trade","E":{ms},"T":{ms},"s":"{self._instrument.symbol}","t":{self._trade},"p":"{price}"'
        return self._wrap("trade", f'{data},"q":"{size + 0.001:.3f}","X":"MARKET","m":{maker}')

    def _ticker(self, step: float, sizes: np.ndarray) -> str:
        down, up = MOVING - self._mood / 20, MOVING + self._mood / 20
        if step < down:
            self._bid -= 1 + int(JUMP_TICKS * step / down)
        elif step > 1 - up:
            self._bid += 1 + int(JUMP_TICKS * (1 - step) / up)
        self._update += 7
        bid, ask, ms = self._price(self._bid), self._price(self._bid + 1), self._ms()
        data = f'"e":"bookTicker","u":{self._update},"s":"{self._instrument.symbol}","b":"{bid}","B":"{sizes[0] + 0.001:.3f}"'
        return self._wrap("bookTicker", f'{data},"a":"{ask}","A":"{sizes[1] + 0.001:.3f}","T":{ms},"E":{ms}')

    def _levels(self, best: int, step: int, sizes: np.ndarray) -> str:
        return ",".join(f'["{self._price(best + step * place)}","{size:.3f}"]' for place, size in enumerate(sizes.tolist()))

    def _depth(self) -> str:
        """Some levels of each side, a third of them deleted."""
        first, previous = self._update + 1, self._previous
        self._update += 25
        self._previous = self._update
        count = 2 + int(self._random.integers(LEVELS))
        sizes = self._random.gamma(0.6, 2.0, (2, count)) * (self._random.random((2, count)) > 1 / 3)
        bids, asks = self._levels(self._bid, -1, sizes[0]), self._levels(self._bid + 1, 1, sizes[1])
        ms = self._ms()
        ids = f'"U":{first},"u":{self._update},"pu":{previous}'
        data = f'"e":"depthUpdate","E":{ms + 1},"T":{ms},"s":"{self._instrument.symbol}",{ids}'
        return self._wrap("depth@0ms", f'{data},"b":[{bids}],"a":[{asks}]')

    def _snapshot(self) -> str:
        sizes = self._random.gamma(0.6, 2.0, (2, 10 * LEVELS)) + 0.001
        bids, asks = self._levels(self._bid, -1, sizes[0]), self._levels(self._bid + 1, 1, sizes[1])
        ms = self._ms()
        return f'{{"lastUpdateId":{self._update},"E":{ms},"T":{ms},"bids":[{bids}],"asks":[{asks}]}}'


def simulate_captures(directory: Path, *, messages: int = 40_000, seed: int = 7) -> list[Path]:
    """Write three captures: two of one instrument that meet at midnight, and one of another; about `messages` in each."""
    around = 240 * NS_PER_SECOND
    alpha = Market(ALPHA, seed=seed, start=MIDNIGHT - around, interval_ns=around // messages)
    beta = Market(BETA, seed=seed + 1, start=EVENING, interval_ns=around // messages)
    lines = list(alpha.lines(2 * messages))
    midnight = sum(int(line[:19]) < MIDNIGHT for line in lines)
    paths = [directory / name for name in ("sim_alphausdt_20240718.gz", "sim_alphausdt_20240719.gz", "sim_betausdt_20240808.gz")]
    for path, part in zip(paths, (lines[:midnight], lines[midnight:], beta.lines(messages)), strict=True):
        write_capture(path, part)
    return paths


def write_capture(path: Path, lines: Iterable[bytes]) -> None:
    """Write lines as a capture file; the same lines give the same file."""
    with path.open("wb") as file, gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=6, mtime=0) as packed:
        packed.write(b"".join(lines))


def damaged_lines(*, messages: int, seed: int = 23) -> tuple[list[bytes], list[bytes]]:
    """A capture of a third instrument on the next day, whole and as a failing disk left it.

    Damaged are: one message in a hundred in the middle third garbled, every tenth depth update lost, and one book ticker crossed.
    """
    market = Market(GAMMA, seed=seed, start=EVENING + 375 * NS_PER_SECOND, interval_ns=120 * NS_PER_SECOND // messages)
    whole = list(market.lines(messages))
    damaged = [_garble(line) if messages // 3 < row < 2 * messages // 3 and row % 100 == 0 else line for row, line in enumerate(whole)]
    depth = [row for row, line in enumerate(damaged) if b"@depth" in line]
    tickers = [row for row, line in enumerate(damaged) if b"@bookTicker" in line]
    damaged[tickers[-1]] = damaged[tickers[-1]].replace(b'"b":"', b'"b":"9')
    lost = set(depth[5::10])
    return whole, [line for row, line in enumerate(damaged) if row not in lost]


def _garble(line: bytes) -> bytes:
    """The second half of a line's message overwritten with what was on the disk before."""
    middle = len(line) // 2
    return line[:middle] + bytes((byte * 7 + 3) % 200 + 33 for byte in line[middle:-1]) + b"\n"
