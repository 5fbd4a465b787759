"""A picture a case: bars of medians with their quartiles, ours dark, the limit as a line."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

OURS, PEER, LIMIT = "#0b5d8f", "#b9c4cc", "#c2410c"


def draw(results: Mapping[str, Sequence[Any]], folder: Path) -> list[Path]:
    """A file a case that has such figures; nothing where matplotlib isn't installed."""
    try:
        import matplotlib as mpl
    except ImportError:
        return []
    mpl.use("agg")
    mpl.rcParams["svg.fonttype"] = "none"  # letters as text: a tenth of the size
    mpl.rcParams["svg.hashsalt"] = "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for name, measured in results.items():
        if measured and hasattr(measured[0], "low"):
            path = folder / f"{name}.svg"
            _draw_case(name, measured, path)
            drawn.append(path)
    return drawn


def _draw_case(name: str, measured: Sequence[Any], path: Path) -> None:
    from matplotlib import pyplot as plt
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

    groups = list(dict.fromkeys(each.data for each in measured))
    rows = max(sum(each.data == data for each in measured) for data in groups)
    figure, axes = plt.subplots(1, len(groups), figsize=(5.2 * len(groups), 0.8 + 0.21 * rows), squeeze=False)
    for axis, data in zip(axes[0], groups, strict=True):
        told = [each for each in measured if each.data == data]
        bars = [each for each in told if each.group not in ("limit", "limit-fresh", "memcpy")][::-1]
        values = [each.milliseconds for each in bars]
        spread = [[each.milliseconds - each.low for each in bars], [each.high - each.milliseconds for each in bars]]
        colours = [OURS if each.group in ("ours", "fresh", "given") else PEER for each in bars]
        axis.barh([each.contestant for each in bars], values, xerr=spread, color=colours, height=0.72, error_kw={"lw": 0.8})
        for limit in (each for each in told if each.group == "limit"):
            axis.axvline(limit.milliseconds, color=LIMIT, lw=1, label="limit")
            axis.legend(loc="lower right", fontsize=7, frameon=False)
        axis.set(xscale="log", title=f"{name}: {data}", xlabel="milliseconds, median and quartiles (less is better)")
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axis.xaxis.set_major_formatter(FormatStrFormatter("%g"))
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.title.set_fontsize(8)
        axis.xaxis.label.set_fontsize(7)
        axis.tick_params(labelsize=7)
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
