"""Pieces of HTML in which every text is escaped: what isn't a `Markup` is text."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from arraystore.pictures.canvas import plain


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def text(value: object) -> Markup:
    """Any value as text in HTML; what is HTML already stays as it is."""
    return value if isinstance(value, Markup) else Markup(escape(plain(str(value))))


def element(name: str, *content: object, **attributes: object) -> Markup:
    """An element around its content; `class_` is the attribute class, and underscores stand for hyphens.

    >>> element("p", "1 < 2", class_="a")
    '<p class="a">1 &lt; 2</p>'
    """
    told = "".join(
        f' {attribute.rstrip("_").replace("_", "-")}="{text(value)}"'
        for attribute, value in attributes.items()
        if value not in (None, False)
    )
    return Markup(f"<{name}{told}>{''.join(map(text, content))}</{name}>")


def joined(parts: Iterable[object]) -> Markup:
    """Pieces one after the other."""
    return Markup("".join(map(text, parts)))


class Cell:
    """A cell of a table: what is shown, by what it is sorted, and how long its bar is (0 to 1)."""

    __slots__ = ("bar", "key", "shown")

    def __init__(self, shown: object, key: float | str | None = None, bar: float | None = None) -> None:
        self.shown, self.key, self.bar = shown, key, bar


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: Sequence[str] = (), whole: Sequence[str] = ()) -> Markup:
    """A table that may be sorted by its headings; `numbers` stand at the right, and columns in `whole` stay on one line."""
    kinds = ["n" if heading in numbers else "t" if heading in whole else "" for heading in headings]
    head = joined(element("th", heading, class_=kind or None) for heading, kind in zip(headings, kinds, strict=True))
    body = joined(element("tr", joined(_cell(cell, kind) for cell, kind in zip(row, kinds, strict=True))) for row in rows)
    made = element("table", element("thead", element("tr", head)), element("tbody", body), class_="sortable")
    return element("div", made, class_="wide")


def _cell(cell: Any, kind: str) -> Markup:
    given = cell if isinstance(cell, Cell) else Cell(cell)
    style = None if given.bar is None else f"--bar:{min(max(given.bar, 0.0), 1.0) * 100:.1f}%"
    names = f"{kind}{' bar' if given.bar is not None else ''}".strip()
    return element("td", given.shown, class_=names or None, data_key=given.key, style=style)


def facts(pairs: Iterable[tuple[str, object]]) -> Markup:
    """Names and values; those without a value are left out."""
    return element(
        "dl", joined(element("div", element("dt", name), element("dd", value)) for name, value in pairs if value not in ("", None))
    )
