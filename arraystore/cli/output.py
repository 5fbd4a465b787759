"""What commands print: JSON for scripts, tables for people, plain aligned text where a pipe reads."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click

__all__ = ["Column", "as_text", "count", "facts", "left", "print_json", "printable", "right", "size", "table"]

type Column = tuple[str, str]
"""A heading, and `"left"` or `"right"`."""

_UNITS = ("KiB", "MiB", "GiB", "TiB")
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))} | {9: "\\t", 10: "\\n", 13: "\\r"}
# Line separators, and what turns the direction of writing.
_CONTROL |= {code: f"\\u{code:04x}" for code in (*range(0x2028, 0x202F), *range(0x2066, 0x206A))}


def printable(text: str) -> str:
    """The text on one line, with control characters as escapes: stored names and values steer no terminal."""
    return text.translate(_CONTROL)


def left(heading: str) -> Column:
    """A column of words."""
    return heading, "left"


def right(heading: str) -> Column:
    """A column of numbers."""
    return heading, "right"


def count(number: int) -> str:
    """Digits in groups of three.

    >>> count(1234567)
    '1,234,567'
    """
    return f"{number:,}"


def size(number_of_bytes: int) -> str:
    """A size that can be read at a glance.

    >>> size(999), size(1_500_000), size(3 << 40)
    ('999 B', '1.4 MiB', '3.0 TiB')
    """
    if number_of_bytes < 1024:
        return f"{number_of_bytes} B"
    power = min((number_of_bytes.bit_length() - 1) // 10, len(_UNITS))
    return f"{number_of_bytes / 1024**power:,.1f} {_UNITS[power - 1]}"


def as_text(value: Any) -> str:
    """A JSON value as it stands in a cell: words bare, nothing for nothing.

    >>> as_text(None), as_text("day"), as_text(True), as_text({"places": 1})
    ('', 'day', 'yes', '{"places":1}')
    """
    import msgspec

    match value:
        case None | False:
            return ""
        case True:
            return "yes"
        case str():
            return value
    return msgspec.json.encode(value).decode()


def print_json(document: Any) -> None:
    """Print one JSON document, and nothing else, on stdout."""
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2))


def facts(pairs: Iterable[tuple[str, str]]) -> None:
    """Print names and values, one pair a line, values aligned."""
    listed = [(name, printable(value)) for name, value in pairs]
    width = max((len(name) for name, _ in listed), default=0)
    for name, value in listed:
        click.echo(f"{name:<{width}}  {value}".rstrip())


def table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Print a table: drawn on a terminal, whole and aligned text in a pipe."""
    listed = [[printable(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _drawn(columns, listed)
    else:
        _plain(columns, listed)


def _drawn(columns: Sequence[Column], rows: list[list[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading, side in columns:
        drawn.add_column(heading, justify="right" if side == "right" else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*map(Text, row))
    Console().print(drawn)


def _plain(columns: Sequence[Column], rows: list[list[str]]) -> None:
    lines = [[heading for heading, _ in columns], *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    for line in lines:
        cells = [f"{cell:{'>' if side == 'right' else '<'}{width}}" for cell, width, (_, side) in zip(line, widths, columns, strict=True)]
        click.echo("  ".join(cells).rstrip())
