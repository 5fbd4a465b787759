"""Which fills count in the end: corrections and busts applied by reference, the records themselves left alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from arraystore.errors import InvalidInput, Problem
from arraystore.frames.columns import Decimals
from arraystore.frames.frame import Frame

NEEDED = ("sequence", "account", "instrument", "fill_id", "ref_fill_id", "size")

type Name = tuple[Any, Any, Any]
"""A fill's: account, instrument, and the venue's number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """Fills as they count, and why others don't; all told by their `sequence`.

    Attributes
    ----------
    effective
        The rows that stand, in the order of their sequence: fills that nothing refers to, and the latest correction of others.
    busted, corrected
        Rows that don't, and the row that took back or replaced each.
    unknown
        Rows that refer to a fill that isn't there, and its number. A correction among them stands; a bust has nothing to take back.
    repeated
        Rows whose fill was told before under the same number; they stand, as whoever reads them must decide.
    """

    effective: Frame
    busted: Mapping[int, int]
    corrected: Mapping[int, int]
    unknown: Mapping[int, str]
    repeated: tuple[int, ...]


def reconcile(fills: Frame) -> Reconciliation:
    """Apply busts and corrections among fills.

    A row with `ref_fill_id` refers to the fill of that `fill_id` of the same account and instrument: with size 0 it busts it, else it
    stands in its place, also where it comes first. Of several that refer to one fill the last counts; a correction can be corrected.
    """
    if problems := [
        Problem(f"column {name!r}", "isn't among those read, and is needed to reconcile") for name in NEEDED if name not in fills
    ]:
        raise InvalidInput(problems)
    sequence = np.asarray(fills["sequence"]).astype(np.int64)
    fills = fills.take(np.argsort(sequence, kind="stable"))
    sequence = np.sort(sequence, kind="stable")
    refers = fills.valid("ref_fill_id")
    referring = np.arange(len(sequence)) if refers is None else np.flatnonzero(refers)
    names = _names(fills, "fill_id", np.arange(len(sequence)))
    plain = np.ones(len(sequence), np.bool_)
    plain[referring] = False
    repeated = _repeated(names, plain)
    taken, unknown = _taken(names, _names(fills, "ref_fill_id", referring), plain, referring)
    busts = np.zeros(len(sequence), np.bool_)
    busts[referring] = _sizes(fills)[referring] == 0
    standing = ~busts
    standing[list(taken)] = False
    by = {int(sequence[row]): int(sequence[other]) for row, other in sorted(taken.items())}
    ends = {int(sequence[other]): bool(busts[other]) for other in taken.values()}
    return Reconciliation(
        effective=fills.take(standing),
        busted={row: other for row, other in by.items() if ends[other]},
        corrected={row: other for row, other in by.items() if not ends[other]},
        unknown={int(sequence[row]): str(name) for row, name in unknown.items()},
        repeated=tuple(int(sequence[row]) for row in repeated),
    )


def _names(fills: Frame, column: str, rows: np.ndarray) -> list[Name]:
    columns = [fills[name][rows].tolist() for name in ("account", "instrument", column)]
    return list(zip(*columns, strict=True))


def _sizes(fills: Frame) -> np.ndarray:
    size = fills["size"]
    return size.mantissa if isinstance(size, Decimals) else np.asarray(size)


def _repeated(names: list[Name], plain: np.ndarray) -> list[int]:
    """Rows that tell a fill once more, without referring to any."""
    seen: set[Name] = set()
    repeated = []
    for row in np.flatnonzero(plain).tolist():
        if names[row] in seen:
            repeated.append(row)
        seen.add(names[row])
    return repeated


def _taken(names: list[Name], wanted: list[Name], plain: np.ndarray, referring: np.ndarray) -> tuple[dict[int, int], dict[int, Any]]:
    """Rows that another one takes the place of, with that row (the last one); and rows that refer to nothing, with what they name.

    A row takes the place of what it names, wherever that is if it refers to nothing itself, else only if it came before; and of earlier
    rows that name the same. So none can take each other's.
    """
    named = set(wanted)
    holders: dict[Name, list[int]] = {}
    for row, name in enumerate(names):
        if name in named:
            holders.setdefault(name, []).append(row)
    taken: dict[int, int] = {}
    unknown: dict[int, Any] = {}
    before: dict[Name, list[int]] = {}
    for row, name in zip(referring.tolist(), wanted, strict=True):
        targets = [other for other in holders.get(name, ()) if other != row and (plain[other] or other < row)]
        earlier = before.setdefault(name, [])
        if not targets:
            unknown[row] = name[2]
        taken |= dict.fromkeys((*targets, *earlier), row)
        earlier.append(row)
    return taken, unknown
