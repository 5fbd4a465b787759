"""Times written in a form of one's own (`%Y%m%d %H%M%S%f`): whole columns at once where widths are fixed, else text by text."""

import re
from datetime import UTC, datetime

import numpy as np

from arraystore.errors import InvalidInput, Problem
from layouts.times import parse_time

WIDTHS = {"Y": 4, "m": 2, "d": 2, "H": 2, "M": 2, "S": 2, "j": 3}
LIMITS = {"H": 24, "M": 60, "S": 60}
SCALES = {"H": 3_600, "M": 60, "S": 1}
FRACTION = 9
NEIGHBOURS = re.compile(r"%[YmdHMSjyI]%[mdHMSjyI]")
NAMELESS = datetime(1900, 1, 1, tzinfo=UTC)  # the day that strptime takes where a form names none
UNNAMED_DAY = np.datetime64("1900-01-01", "D")


def read_form(texts: list[str | None], form: str, where: str, *, since: bool) -> np.ndarray:
    """Int64 nanoseconds since 1970 of wall clock times; or since their midnight, with `since` and a form that names no day.

    `%f` is a fraction of a second of one to nine digits. None becomes 0. Raises `InvalidInput` with the first text that isn't of the form.
    """
    given = [text.strip() if text is not None else None for text in texts]
    result = np.zeros(max(1, len(given)), np.int64)
    lengths = np.array([-1 if text is None else len(text) for text in given], np.int64)
    for length in np.unique(lengths[lengths >= 0]).tolist():
        places = np.flatnonzero(lengths == length)
        chosen = [given[place] or "" for place in places.tolist()]
        read = _of_fixed_widths(chosen, length, form)
        result[places] = read if read is not None else [_one(text, form, where) for text in chosen]
    if since and not re.search(r"%[Yymdj]", form):
        result[lengths >= 0] -= parse_time(NAMELESS)
    return result


def _tokens(form: str, length: int) -> list[tuple[str, int, int]] | None:
    """Directives and literals with where they lie in texts of this length; None if that isn't fixed."""
    parts = re.findall(r"%.|[^%]", form)
    widths = [WIDTHS.get(part[1], 0) if part[0] == "%" else 1 for part in parts]
    if any(part[0] == "%" and part[1] not in (*WIDTHS, "f") for part in parts) or parts.count("%f") > 1:
        return None
    spare = length - sum(widths)
    if "%f" in parts:
        widths[parts.index("%f")] = spare
    if (not 1 <= spare <= FRACTION) if "%f" in parts else spare:
        return None
    starts = np.cumsum([0, *widths]).tolist()
    return [(part, start, start + width) for part, start, width in zip(parts, starts, widths, strict=False)]


def _of_fixed_widths(texts: list[str], length: int, form: str) -> np.ndarray | None:
    """All texts at once; None if any isn't plainly of the form."""
    tokens = _tokens(form, length)
    joined = "".join(texts).encode()
    if tokens is None or len(joined) != length * len(texts):
        return None
    letters = np.frombuffer(joined, np.uint8).reshape(len(texts), length)
    found: dict[str, np.ndarray] = {}
    for part, start, stop in tokens:
        if part[0] != "%":
            if (letters[:, start] != ord(part)).any():
                return None
            continue
        digits = letters[:, start:stop].astype(np.int64) - ord("0")
        if ((digits < 0) | (digits > 9)).any() or part[1] in found:
            return None
        scale = 10 ** np.arange(stop - start)[::-1] * (10 ** (FRACTION - stop + start) if part == "%f" else 1)
        found[part[1]] = digits @ scale
    days = _days(found, len(texts))
    if days is None or any((found[name] >= limit).any() for name, limit in LIMITS.items() if name in found):
        return None
    seconds = sum((found[name] * scale for name, scale in SCALES.items() if name in found), days * 86_400)
    result: np.ndarray = seconds * 10**9 + found.get("f", 0)
    return result


def _days(found: dict[str, np.ndarray], count: int) -> np.ndarray | None:
    """Days since 1970; None if a date isn't in the calendar, or further away than int64 nanoseconds go."""
    if not {"Y", "m", "d", "j"} & set(found):
        return np.full(count, UNNAMED_DAY.astype(np.int64))
    year = found.get("Y", np.full(count, 1900))
    if ((year < 1678) | (year > 2261)).any() or ("j" in found and {"m", "d"} & set(found)):
        return None
    month = (year - 1970) * 12 + found.get("m", np.ones(count, np.int64)) - 1
    first = month.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    next_first = (month + 1).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    if "m" in found and ((found["m"] < 1) | (found["m"] > 12)).any():
        return None
    day = found["j"] if "j" in found else found.get("d", np.ones(count, np.int64))
    last = 365 + ((year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))) if "j" in found else next_first - first
    if ((day < 1) | (day > last)).any():
        return None
    days: np.ndarray = first + day - 1
    return days


def _one(text: str, form: str, where: str) -> int:
    """One text, as Python's strptime reads it; never by guessing where one number ends and the next begins."""
    if NEIGHBOURS.search(form):
        what = f"holds {text!r}, which isn't of the form {form!r} with every part in its full width (pad = 6 fills up to six digits)"
        raise InvalidInput(Problem(where, what))
    try:
        moment = datetime.strptime(text, form)  # noqa: DTZ007 - without %z it is a wall clock time
    except ValueError as error:
        raise InvalidInput(Problem(where, f"holds {text!r}, which isn't of the form {form!r}")) from error
    return parse_time(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))
