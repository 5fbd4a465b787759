"""data-quality: complete raw windows into `canonical` if they pass their checks, else into `quarantine`; and corrections.

What was promoted already is told from lineage: a canonical window names the raw version it was made from. So this may be run again
at any time: it does what is missing, and makes again what has a newer source.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

import arraystore
from arraystore.demo.checks import Check, check_window
from arraystore.demo.decoding import Columns, Decoded, Rejected, decode_messages
from arraystore.demo.normalise import normalise
from arraystore.demo.recording import VENUE
from arraystore.demo.tables import day_of, labels, nanoseconds, numbers, payloads, rows_where, version_used
from arraystore.demo.wire import decimal_places

VOID = "the venue declared trade"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one complete raw window: rows per canonical dataset, or the key it is held under in quarantine."""

    source: tuple[str, ...]
    window: str
    messages: int
    checks: tuple[Check, ...]
    promoted: dict[tuple[str, ...], int]
    held: tuple[str, ...] | None = None

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that didn't pass."""
        return tuple(check for check in self.checks if not check.passed)


def review(
    store: arraystore.Store, since: str | None = None, *, advance: Callable[[int], None] = lambda _: None
) -> tuple[list[Verdict], str]:
    """Look at every raw window that became complete since a cursor; returns what became of each, and the next cursor."""
    changes = store.raw.changes(since)
    touched = dict.fromkeys((change.key, window) for change in changes for window in change.windows)
    verdicts = []
    for key, window in touched:
        raw = store.raw[key]
        if raw.manifest(window).completeness == "complete":
            verdicts.append(_review_window(store, raw, window))
            advance(verdicts[-1].messages)
    return verdicts, changes.cursor


def _review_window(store: arraystore.Store, raw: arraystore.Dataset, window: str) -> Verdict:
    """Decode, check, and promote or hold one raw window."""
    frame = raw.read(window=window)
    decoded = _decode(frame)
    checks = check_window(decoded, numbers(frame, "sequence"))
    verdict = Verdict(source=raw.key, window=window, messages=frame.row_count, checks=checks, promoted={})
    if verdict.failed:
        return replace(verdict, held=_hold(store, raw, window, frame, decoded, verdict))
    tables = normalise(decoded, nanoseconds(frame, "time"), numbers(frame, "sequence"))
    for symbol, instrument in tables.items():
        places = decimal_places(payloads(frame, "payload").content, symbol)
        for schema, columns in (
            (arraystore.schema_by_name("trades", identifiers="uint64", decimal_places=places), instrument.trades),
            (arraystore.schema_by_name("quotes", decimal_places=places), instrument.quotes),
            (arraystore.schema_by_name("book_updates", decimal_places=places), instrument.book_updates),
        ):
            key = (VENUE, schema.name, symbol)
            verdict.promoted[key] = _promote(store, key, schema, columns, raw, window, checks)
    return verdict


def _decode(frame: arraystore.Frame) -> Decoded:
    """Decode what was recorded whole; a line without a capture time counts as rejected."""
    payload = payloads(frame, "payload")
    is_message = labels(frame, "encoding").matches("json", "json/eof")
    decoded = decode_messages(payload.data, payload.offsets, np.flatnonzero(is_message))
    lines = tuple(Rejected(row, "garbled: the line had no capture time") for row in np.flatnonzero(~is_message).tolist())
    return replace(decoded, rejected=tuple(sorted((*decoded.rejected, *lines), key=lambda item: item.row)))


def _promote(
    store: arraystore.Store,
    key: tuple[str, ...],
    schema: arraystore.Schema,
    columns: Columns,
    raw: arraystore.Dataset,
    window: str,
    checks: tuple[Check, ...],
) -> int:
    """Write one canonical window in one commit, unless it stands already; returns the rows written."""
    manifest = raw.manifest(window)
    source = raw.pin(*day_of(window))
    what = {"checks": {check.name: check.found for check in checks}}
    dataset = store.canonical[key] if key in store.canonical else store.canonical.create(key, schema)
    if window not in dataset.windows():
        dataset.append(columns, inputs=[source], coverage=manifest.coverage, completeness="complete", window_attributes=what)
    else:
        made_from = version_used(dataset.manifest(window).lineage, raw)
        if made_from is None or made_from >= manifest.version:  # another recorder's came first, or nothing is new
            return 0
        reason = f"{'/'.join(raw.key)} has version {manifest.version} of this window; version {made_from} was promoted"
        dataset.replace(window, columns, reason=reason, inputs=[source], coverage=manifest.coverage, window_attributes=what)
    return len(columns["time"])


def _hold(
    store: arraystore.Store, raw: arraystore.Dataset, window: str, frame: arraystore.Frame, decoded: Decoded, verdict: Verdict
) -> tuple[str, ...]:
    """Put a window that failed into quarantine, as recorded; returns its key there."""
    venue, feed, recorder = raw.key
    key = (venue, f"{feed}.{recorder}", decoded.symbols[0] if len(decoded.symbols) == 1 else "_all")
    manifest = raw.manifest(window)
    if key in store.quarantine and window in store.quarantine[key].windows():
        return key
    store.quarantine.hold(
        key,
        frame,
        schema=raw.schema,
        reason="checks-failed",
        failed_checks=[str(check) for check in verdict.failed],
        source=f"{raw.location}/{window} version {manifest.version}",
        inputs=[raw.pin(*day_of(window))],
        coverage=manifest.coverage,
    )
    return key


def release_repaired(store: arraystore.Store) -> list[tuple[tuple[str, ...], str]]:
    """Release every held window whose instrument has that window in `canonical` by now, from another recorder."""
    released = []
    for key in store.quarantine.find():
        held, trades = store.quarantine[key], (VENUE, "trades", key[2])
        for window in held.windows():
            if held.manifest(window).attributes.get("state") != "held" or trades not in store.canonical:
                continue
            repaired = store.canonical[trades]
            if window in repaired.windows():
                into = repaired.pin(*day_of(window))
                store.quarantine.release(key, window, into=into, note="a second recorder saw the window whole")
                released.append((key, window))
    return released


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """A canonical window put right: the versions before and after, and the trade that went."""

    key: tuple[str, ...]
    window: str
    before: arraystore.Pin
    after: arraystore.Pin
    reason: str
    present: bool


def void_trade(store: arraystore.Store, key: tuple[str, ...]) -> Correction | None:
    """Correct the dataset's smallest window: the venue took back its largest trade. Done once; afterwards only told again."""
    trades = store.canonical[key]
    for version in _corrections(trades):
        return _told_again(trades, version)
    counts = {window: trades.manifest(window).rows for window in trades.windows()}
    window = min((window for window, rows in counts.items() if rows), key=counts.__getitem__, default=None)
    if window is None:
        return None
    manifest, before = trades.manifest(window), trades.pin(*day_of(window))
    frame = trades.read(window=window)
    largest = int(np.argmax(numbers(frame, "size")))
    reason = f"{VOID} {int(numbers(frame, 'trade_id')[largest])} void"
    kept = np.arange(frame.row_count) != largest
    inputs = [*manifest.lineage, before]
    trades.replace(window, rows_where(frame, kept), reason=reason, inputs=inputs, coverage=manifest.coverage)
    after = trades.pin(*day_of(window))
    return Correction(key=key, window=window, before=before, after=after, reason=reason, present=False)


def _corrections(trades: arraystore.Dataset) -> Iterator[arraystore.Version]:
    return (version for version in trades.versions() if version.operation == "replace" and version.reason.startswith(VOID))


def _told_again(trades: arraystore.Dataset, version: arraystore.Version) -> Correction:
    (window,) = version.windows
    before, after = (trades.at(number).pin(*day_of(window)) for number in (version.number - 1, version.number))
    return Correction(key=trades.key, window=window, before=before, after=after, reason=version.reason, present=True)
