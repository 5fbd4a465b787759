"""The one door to matplotlib: figures without global state, in one plain style, and what becomes of them in files.

Figures are `matplotlib.figure.Figure`, never pyplot's: any thread and any server may make them, and nobody has to close them.
"""

import io
import threading
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from arraystore.errors import Unsupported

INK, FAINT, GRID = "#222222", "#6b6b6b", "#e6e6e6"
#: Okabe and Ito's colours: told apart with any colour vision; yellow is left out, too faint on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DPI = 120
NARROWEST = 1_000_000

_svg_settings = threading.Lock()
_SVG = {"svg.fonttype": "none", "svg.hashsalt": "arraystore"}  # text stays text, and the same figure becomes the same bytes


def figure(width: float, height: float, title: str = "") -> Any:
    """An empty figure of so many inches, laid out by itself, with a title at the left; `Unsupported` without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise Unsupported("pictures are drawn by matplotlib, which isn't installed: pip install 'arraystore[plot]'") from error
    made = _shown(Figure)(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    if title:
        made.suptitle(plain(title), fontsize=12, color=INK, x=0.012, ha="left", weight="bold", parse_math=False)
    return made


@cache
def _shown(base: Any) -> Any:
    """The class of figures that show themselves in notebooks, though pyplot knows nothing of them."""

    class Figure(base):  # type: ignore[misc] # a class that is there only where it is installed
        def _repr_png_(self) -> bytes:
            return encode(self, "png")

    return Figure


def note(axes: Any, text: str) -> None:
    """What a picture shows, small and grey, between its title and an axis."""
    axes.set_title(plain(text), loc="left", fontsize=8.5, color=FAINT, parse_math=False)


def plain(text: str) -> str:
    """Text on one line, as it is: what can't be printed is escaped."""
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text)


def tidy(axes: Any, *, grid: str = "both") -> None:
    """Light lines behind the data, no box around them."""
    if grid:
        axes.grid(axis=grid, color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#b0b0b0")
    axes.tick_params(colors=INK, labelsize=9, color="#b0b0b0")


def label(axes: Any, *, x: str = "", y: str = "") -> None:
    """What the axes measure, and in which unit."""
    if x:
        axes.set_xlabel(plain(x), color=INK, fontsize=9.5, parse_math=False)
    if y:
        axes.set_ylabel(plain(y), color=INK, fontsize=9.5, parse_math=False)


def legend(axes: Any, **options: Any) -> None:
    """A legend without a frame, whose names are taken as they are."""
    made = axes.legend(frameon=False, fontsize=8.5, labelcolor=INK, **options)
    for text in made.get_texts():
        text.set_parse_math(False)


def moments(times: Any) -> np.ndarray:
    """Times (int64 ns since 1970 UTC) as matplotlib takes them."""
    return np.asarray(times, np.int64).astype("datetime64[ns]")


def time_axis(axes: Any, start: int, stop: int, *, name: str = "") -> None:
    """An x axis from one time to another, in UTC, with round and few marks."""
    from matplotlib import dates

    made: Any = dates  # which has no types
    locator = made.AutoDateLocator(tz=made.UTC, minticks=4, maxticks=10)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(made.ConciseDateFormatter(locator, tz=made.UTC))
    room = max(0, NARROWEST - (stop - start)) // 2  # days as floats tell no less apart
    axes.set_xlim(*moments([start - room, stop + room]))
    label(axes, x=f"{name}, UTC" if name else "UTC")


def plain_numbers(axis: Any) -> None:
    """Numbers written out, in groups of three, without an offset."""
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: written(float(value))))


def written(value: float) -> str:
    """A number as a person writes it.

    >>> written(61680.0), written(0.25), written(1e-7), written(-1500000.5)
    ('61,680', '0.25', '1e-07', '-1,500,000.5')
    """
    if value and not 1e-4 <= abs(value) < 1e15:
        return f"{value:g}"
    return f"{value:,.10f}".rstrip("0").rstrip(".")


def encode(made: Any, kind: str, dpi: int = DPI) -> bytes:
    """A figure as the bytes of a `png` or an `svg`, which name no time and no program; `dpi` is that of what has pixels."""
    file = io.BytesIO()
    if kind == "png":
        made.savefig(file, format="png", dpi=dpi, metadata={"Software": None})
        return file.getvalue()
    import matplotlib as mpl

    with _svg_settings:
        settings: Any = mpl.rcParams
        before = {name: settings[name] for name in _SVG}
        settings.update(_SVG)
        try:
            made.savefig(file, format="svg", dpi=dpi, metadata={"Date": None, "Creator": None})
        finally:
            settings.update(before)
    return file.getvalue()


def shades(name: str, colours: Sequence[str]) -> Any:
    """A scale of colours from one to another, transparent where there is nothing."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list(name, list(colours)).with_extremes(bad=(1, 1, 1, 0), under=(1, 1, 1, 0))


def log_scale(low: float, high: float) -> Any:
    """A logarithmic scale of colours; what is beyond is drawn as its ends."""
    from matplotlib.colors import LogNorm

    return LogNorm(vmin=low, vmax=max(high, low * 1.0001), clip=False)
