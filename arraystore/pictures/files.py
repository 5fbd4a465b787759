"""Figures as files: PNG, SVG, or one HTML page that needs nothing else, by the file's suffix; whole, or not there."""

import os
from html import escape
from pathlib import Path
from typing import Any

from arraystore import arguments
from arraystore.errors import InvalidInput
from arraystore.pictures import canvas
from arraystore.storage.outfile import appearing

SUFFIXES = (".png", ".svg", ".html")

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ margin: 0; padding: 1.5rem; background: #f4f4f2; color: #222; font: 15px/1.45 system-ui, sans-serif }}
figure {{ margin: 0 auto; max-width: 1320px; background: #fff; border: 1px solid #ddd; border-radius: 6px; padding: 1rem }}
svg {{ width: 100%; height: auto }}
@media (prefers-color-scheme: dark) {{ body {{ background: #1b1c1e; color: #ddd }} figure {{ border-color: #444 }} }}
</style>
<figure>
{svg}
</figure>
</html>
"""


def checked_suffix(path: str | os.PathLike[str]) -> str:
    """The suffix of a picture's file; `InvalidInput` for one that nothing is known of."""
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise InvalidInput(f"{os.fspath(path)!r} doesn't say what to write: let it end in {', '.join(SUFFIXES)}", "path")
    return suffix


def save_picture(figure: Any, path: str | os.PathLike[str], *, dpi: int = canvas.DPI, overwrite: bool = False) -> int:
    """Write a matplotlib figure to a file that appears whole, as its suffix says, and return its size in bytes.

    Parameters
    ----------
    figure
        Any `matplotlib.figure.Figure`, such as those that `dataset.plot` makes.
    path
        Ends in `.png`, `.svg` (text stays text) or `.html` (one page with the picture in it, which loads nothing else).
    dpi
        Pixels an inch, of PNG and of heatmaps in SVG.
    overwrite
        Replace a file of that name, once the new one is whole.

    Raises
    ------
    InvalidInput, AlreadyExists, StorageError

    Examples
    --------
    >>> import arraystore
    >>> store = arraystore.open_store("memory://saved", role="data-quality", create=True)
    >>> trades = store.canonical.create(("venue", "trades", "X"), arraystore.schema_by_name("trades"))
    >>> rows = {"time": [1, 2], "price": [1.0, 2.0], "size": [1.0, 1.0], "side": [1, 1], "flags": [0, 0]}
    >>> receipt = trades.append(rows)
    >>> arraystore.save_picture(trades.plot.series("price"), "price.svg") > 1000
    True
    """
    suffix = checked_suffix(path)
    dpi = arguments.whole(dpi, "dpi", 20, 1000)
    with appearing(path, overwrite=overwrite) as partial:
        data = canvas.encode(figure, "png" if suffix == ".png" else "svg", dpi)
        if suffix == ".html":
            data = _page(figure, data.decode()).encode()
        partial.write_bytes(data)
    return len(data)


def _page(figure: Any, svg: str) -> str:
    """One page around an SVG, without the lines that only a file of its own needs."""
    heading = figure.get_suptitle() or "picture"
    return _PAGE.format(title=escape(heading), svg=svg[svg.index("<svg") :])
