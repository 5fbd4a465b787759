"""What commands print: JSON for scripts, tables for people, plain aligned text where a pipe reads."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click

__all__ = [
    "Column",
    "as_text",
    "count",
    "counted",
    "facts",
    "left",
    "print_json",
    "printable",
    "right",
    "size",
    "table",
    "to_the_second",
]

type Column = tuple[str, str]
"""A heading, and `"left"` or `"right"`."""

WIDEST = 10_000

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


def counted(number: int, noun: str) -> str:
    """How many of something.

    >>> counted(1, "dataset"), counted(1200, "row")
    ('1 dataset', '1,200 rows')
    """
    return f"{count(number)} {noun}" if number == 1 else f"{count(number)} {noun}s"


def to_the_second(time: str | None) -> str:
    """An ISO-8601 time without its fraction, for tables; nothing for none.

    >>> to_the_second("2024-08-08T23:59:59.833492584Z"), to_the_second("2024-08-08T00:00:00Z")
    ('2024-08-08T23:59:59Z', '2024-08-08T00:00:00Z')
    """
    return f"{time.rstrip('Z').partition('.')[0]}Z" if time else ""


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
    """Print a table: drawn on a terminal that is wide enough, else as whole and aligned text."""
    listed = [[printable(cell) for cell in row] for row in rows]
    if not (sys.stdout.isatty() and _speakable(listed) and _drawn(columns, listed)):
        _plain(columns, listed)


def _speakable(rows: list[list[str]]) -> bool:
    """Whether the terminal's encoding has all letters, without which no table can be drawn (plain text replaces them)."""
    try:
        "".join(cell for row in rows for cell in row).encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _drawn(columns: Sequence[Column], rows: list[list[str]]) -> bool:
    """Draw the table, unless it would have to be broken up."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading, side in columns:
        drawn.add_column(heading, justify="right" if side == "right" else "left", no_wrap=True)
    for row in rows:
        drawn.add_row(*map(Text, row))
    console = Console()
    if console.measure(drawn, options=console.options.update(max_width=WIDEST)).maximum > console.width:
        return False
    console.print(drawn)
    return True


def _plain(columns: Sequence[Column], rows: list[list[str]]) -> None:
    lines = [[heading for heading, _ in columns], *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    for line in lines:
        cells = [f"{cell:{'>' if side == 'right' else '<'}{width}}" for cell, width, (_, side) in zip(line, widths, columns, strict=True)]
        click.echo("  ".join(cells).rstrip())
