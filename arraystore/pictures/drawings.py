"""Pictures inside pages: coverage and lineage as plain SVG, which light and dark styles colour, and no library draws."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from arraystore.pictures.coverage import STATES, Matrix, marks_of
from arraystore.pictures.markup import Markup, element, joined

WIDTH = 1120
ROW = 17
SHADES = 5
LABELS, TOTALS = 330, 90

_LETTER = 6.7
_NODE_HEIGHT, _NODE_GAP, _LAYER_GAP = 34, 10, 64


def coverage_drawing(found: Matrix) -> Markup:
    """Datasets × days, as `plot coverage` has them: shades of five are by the logarithm of rows."""
    count, columns = found.rows.shape
    step = (WIDTH - LABELS - TOTALS) / columns
    height = ROW * count + 26
    parts: list[Markup] = []
    positive = found.rows[found.rows > 0]
    low, high = (np.log(positive.min()), np.log(positive.max())) if len(positive) else (0.0, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        level_of = (np.log(np.maximum(found.rows, 1)) - low) / max(high - low, 1e-9)
    shade = np.clip((level_of * SHADES).astype(np.int64), 0, SHADES - 1)
    parts.append(_cells(found.rows == 0, step, "s-gap", 1.0))
    for state, name in enumerate(STATES):
        for level in range(SHADES):
            chosen = (found.rows > 0) & (found.states == state) & (shade == level)
            parts.append(_cells(chosen, step, f"s-{name}", 0.3 + 0.7 * (level + 1) / SHADES))
    for column in np.flatnonzero(found.starts < 0).tolist():
        x = f"{LABELS + (column + 0.5) * step:.1f}"
        parts.append(element("line", x1=x, x2=x, y1=0, y2=ROW * count, class_="fold", stroke_dasharray="2 3"))
    for row, (name, total) in enumerate(zip(found.names, found.totals, strict=True)):
        y = ROW * row + 12.5
        shown = name if len(name) * _LETTER < LABELS - 12 else f"{name[:22]}…{name[-24:]}"
        parts.append(element("text", shown, element("title", f"{name}: {total:,} rows"), x=LABELS - 8, y=y, text_anchor="end"))
        parts.append(element("text", f"{total:,}", x=WIDTH, y=y, text_anchor="end", class_="faint"))
    for mark, day in zip(*marks_of(found.starts), strict=True):
        parts.append(element("text", day, x=f"{LABELS + mark * step:.1f}", y=ROW * count + 18, text_anchor="middle", class_="faint"))
    return element("svg", *parts, viewBox=f"0 0 {WIDTH} {height}", role="img", aria_label="coverage: datasets by days")


def _cells(chosen: np.ndarray, step: float, name: str, opacity: float) -> Markup:
    """Cells as one path, neighbours in a row as one rectangle."""
    pieces = []
    for row in np.flatnonzero(chosen.any(axis=1)).tolist():
        edges = np.flatnonzero(np.diff(np.concatenate([[0], chosen[row].astype(np.int8), [0]])))
        for start, stop in edges.reshape(-1, 2).tolist():
            width = f"{(stop - start) * step:.2f}"
            pieces.append(f"M{LABELS + start * step:.2f} {ROW * row + 1}h{width}v{ROW - 2}h-{width}z")
    return element("path", d="".join(pieces), class_=name, fill_opacity=f"{opacity:.2f}") if pieces else Markup("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """Datasets, by class and key, and which was made from which: edges from what was read to what was made. `left_out` counts others."""

    nodes: tuple[str, ...]
    edges: frozenset[tuple[str, str]]
    self_: str = ""
    left_out: int = 0


def graph_drawing(graph: Graph) -> Markup:
    """Boxes from left to right, each right of all that it was made from."""
    layers = _layers(graph.nodes, graph.edges)
    places: dict[str, tuple[float, float, float]] = {}
    x = 4.0
    tallest = max(len(layer) for layer in layers)
    for layer in layers:
        width = max(len(_key_of(node)) for node in layer) * _LETTER + 18
        offset = (tallest - len(layer)) * (_NODE_HEIGHT + _NODE_GAP) / 2
        for place, node in enumerate(layer):
            places[node] = (x, 4 + offset + place * (_NODE_HEIGHT + _NODE_GAP), width)
        x += width + _LAYER_GAP
    height = tallest * (_NODE_HEIGHT + _NODE_GAP) + 4
    drawn = [_edge(places[source], places[target]) for source, target in sorted(graph.edges)]
    drawn += [_node(node, places[node], is_self=node == graph.self_) for node in graph.nodes]
    total = max(x - _LAYER_GAP + 4, 420)
    svg = element("svg", *drawn, viewBox=f"0 0 {total:.0f} {height}", role="img", aria_label="lineage", style=f"max-width:{total:.0f}px")
    return element("div", svg, class_="wide")


def _layers(nodes: Sequence[str], edges: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Nodes by how many steps they are from what nobody made, each layer ordered by where its sources lie."""
    sources: dict[str, list[str]] = {node: [] for node in nodes}
    for source, target in sorted(edges):
        sources[target].append(source)
    depth: dict[str, int] = {}
    for _ in nodes:  # as many rounds as the longest way can have; a circle ends there, too
        depth = {node: max((depth.get(source, 0) + 1 for source in sources[node]), default=0) for node in nodes}
    ranks = sorted(set(depth.values()))
    layers: list[list[str]] = []
    place: Mapping[str, int] = {}
    for rank in ranks:
        layer = [node for node in nodes if depth[node] == rank]
        layer.sort(key=lambda node: (sum(place.get(each, 0) for each in sources[node]) / max(len(sources[node]), 1), node))
        layers.append(layer)
        place = {**place, **{node: number for number, node in enumerate(layer)}}
    return layers


def _edge(source: tuple[float, float, float], target: tuple[float, float, float]) -> Markup:
    x1, y1 = source[0] + source[2], source[1] + _NODE_HEIGHT / 2
    x2, y2 = target[0], target[1] + _NODE_HEIGHT / 2
    bend = max(abs(x2 - x1) / 2, 18)
    return element("path", d=f"M{x1:.1f} {y1:.1f}C{x1 + bend:.1f} {y1:.1f} {x2 - bend:.1f} {y2:.1f} {x2:.1f} {y2:.1f}", class_="edge")


def _node(node: str, place: tuple[float, float, float], *, is_self: bool) -> Markup:
    x, y, width = place
    storage_class = node.partition("/")[0]
    box = element("rect", x=f"{x:.1f}", y=f"{y:.1f}", width=f"{width:.1f}", height=_NODE_HEIGHT, rx=5)
    words = [
        element("text", storage_class, x=f"{x + 9:.1f}", y=f"{y + 13:.1f}", class_="faint"),
        element("text", _key_of(node), x=f"{x + 9:.1f}", y=f"{y + 27:.1f}"),
    ]
    return element("g", element("title", node), box, joined(words), class_=f"node c-{storage_class}{' self' if is_self else ''}")


def _key_of(node: str, most: int = 44) -> str:
    key = node.partition("/")[2]
    return key if len(key) <= most else f"{key[: most // 2 - 1]}…{key[-most // 2 :]}"
