"""Generated facts about instruments: definitions, names, corporate actions; each with when it was known."""

import numpy as np

from arraystore.frames.columns import Labels, Ragged
from arraystore.testing.draws import MILLISECOND, Columns, Draw

DAY = 86_400_000 * MILLISECOND
MOST_INSTRUMENTS = 500
CLASSES = ("spot", "perpetual", "future", "option")
VENUES = ("binance-usdm", "okx")


def instrument_definitions(draw: Draw) -> Columns:
    """Instruments of four classes, each defined again now and then; those that expire say when."""
    count, which, known = _which(draw), _rows(draw), draw.arrivals(DAY // 24)
    kind = which % len(CLASSES)
    spot, option, expires = kind == 0, kind == 3, kind >= 2
    expiry = draw.start + (30 + which % 300) * DAY + known // DAY * 0
    expiry = np.maximum(expiry, known + DAY)
    steps = 10 ** draw.random.integers(0, 3, count)[which]
    rates = np.round(draw.random.random((4, draw.count)) / 1000, 6)
    return {
        "time": known,
        "valid_from": known,
        **draw.nullable("valid_to", expiry, ~expires),
        "instrument_uid": _uids(count, which),
        "raw_symbol": _symbols(count, which),
        "class": Labels(kind.astype(np.int32), CLASSES),
        "base": draw.labels(("BTC", "ETH", "SOL")),
        "quote": Labels(np.zeros(draw.count, np.int32), ("USDT",)),
        "settlement": Labels((kind == 1).astype(np.int32), ("USDT", "BTC")),
        **draw.nullable("underlying", draw.labels(("BTCUSDT", "ETHUSDT")), spot),
        "is_inverse": kind == 1,
        "price_increment": draw.scaled("price_increment", steps, 2),
        "size_increment": draw.scaled("size_increment", np.ones(draw.count, np.int64), 3),
        "price_precision": np.full(draw.count, 2, np.int8),
        "size_precision": np.full(draw.count, 3, np.int8),
        "lot_size": draw.scaled("lot_size", np.full(draw.count, 1000), 3),
        "multiplier": np.where(expires, 0.01, 1.0),
        **draw.nullable("min_size", draw.scaled("min_size", np.ones(draw.count, np.int64), 3), 0.1),
        **draw.nullable("max_size", draw.scaled("max_size", draw.sizes(10**6), 3), 0.1),
        **draw.nullable("min_notional", np.full(draw.count, 5.0), 0.3),
        **draw.nullable("maker_fee", -rates[0], 0.2),
        **draw.nullable("taker_fee", rates[1], 0.2),
        **draw.nullable("margin_init", rates[2] * 100, spot),
        **draw.nullable("margin_maint", rates[3] * 50, spot),
        **draw.nullable("activation", known - 10 * DAY, 0.5),
        **draw.nullable("expiry", expiry, ~expires),
        **draw.nullable("strike", draw.scaled("strike", 10_000 * (100 + which), 2), ~option),
        **draw.nullable("option_kind", np.where(which % 8 < 4, 1, 2).astype(np.int8), ~option),
        **draw.nullable("info", _info(count)[which], 0.2),
    }


def symbology(draw: Draw) -> Columns:
    """Every other row opens names, the next closes them: then each instrument takes the name that another of its venue had."""
    count, which = _which(draw), _rows(draw)
    known = draw.arrivals(DAY)
    turn, closes = np.arange(draw.count) // (2 * count), np.arange(draw.count) // count % 2 == 1
    opened = np.concatenate((known[:count], known))[: draw.count]  # by the row that opened what this one closes
    return {
        "instrument_uid": _uids(count, which),
        "venue": Labels((which % 2).astype(np.int32), VENUES),
        "symbol": _symbols(count, (which + 2 * turn) % count),
        "valid_from": np.where(closes, opened, known),
        **draw.nullable("valid_to", known, ~closes),
        "known_from": known,
    }


def corporate_actions(draw: Draw) -> Columns:
    """Splits, dividends, mergers and changes of name, mostly announced."""
    count, which, ex_time = _which(draw), _rows(draw), draw.arrivals(DAY)
    kinds = ("split", "dividend", "merger", "rename")
    kind = draw.pick((0.2, 0.6, 0.1, 0.1))
    return {
        "instrument_uid": _uids(count, which),
        **draw.nullable("announced", ex_time - 20 * DAY, 0.05),
        "ex_time": ex_time,
        "kind": Labels(kind.astype(np.int32), kinds),
        **draw.nullable("ratio", draw.random.choice([2.0, 3.0, 0.5, 0.1], draw.count), (kind == 1) | (kind == 3)),
        **draw.nullable("cash", np.round(draw.random.random(draw.count), 4), kind != 1),
        **draw.nullable("currency", draw.labels(("USD", "EUR")), kind != 1),
        **draw.nullable("new_symbol", _symbols(count, (which + 1) % count), kind != 3),
    }


def _which(draw: Draw) -> int:
    """How many instruments there are: an even number, as two venues share them."""
    return min(max(draw.count // 8 * 2, 2), MOST_INSTRUMENTS)


def _rows(draw: Draw) -> np.ndarray:
    """Which instrument each row is of: they take turns."""
    return np.arange(draw.count) % _which(draw)


def _uids(count: int, which: np.ndarray) -> Labels:
    return Labels(which.astype(np.int32), tuple(f"i-{number:05d}" for number in range(count)))


def _symbols(count: int, which: np.ndarray) -> Ragged:
    return Ragged.from_values((f"S{number}USDT" for number in range(count)), text=True)[which]


def _info(count: int) -> Ragged:
    return Ragged.from_values((b'{"contract":%d,"status":"TRADING"}' % number for number in range(count)), text=False)
