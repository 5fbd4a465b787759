"""The page about a store or a dataset: complete, escaped, self-contained; what can't be told is told as such."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

import arraystore
from arraystore.datasets.sizes import sizes_of
from arraystore.pictures.coverage import days_of, matrix_of
from arraystore.pictures.drawings import Graph, coverage_drawing, graph_drawing
from arraystore.pictures.lineages import graph_of
from arraystore.pictures.report import report_page
from tests.pictures.conftest import DAY, SECOND, START, damage, trades_at

HOSTILE = '<script>alert("1")</script>\'&amp;\u202e\x00'
VOID = {"meta"}


class Page(HTMLParser):
    """A page as its elements: each must be closed in order; text by the id of its section, rows of its tables."""

    def __init__(self, text):
        super().__init__()
        self.open, self.attributes, self.ids, self.texts, self.rows = [], [], [], {}, {}
        self.tags = set()
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        name = dict(attrs).get("id")
        if name:
            self.ids.append(name)
        if tag == "tr":
            self.rows.setdefault(self.ids[-1] if self.ids else "", []).append([])
        if tag in {"td", "th"}:
            self.rows[self.ids[-1]][-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        name = self.ids[-1] if self.ids else ""
        self.texts[name] = self.texts.get(name, "") + data
        if self.open and self.open[-1] in {"td", "th"}:
            self.rows[name][-1][-1] += data

    def table(self, name):
        """Rows of a section's first table by their first cell, as dicts by heading."""
        headings, *rows = self.rows[name]
        return {row[0]: dict(zip(headings, row, strict=True)) for row in rows}


DATASET_PARTS = ["what", "coverage", "columns", "windows", "versions", "lineage", "verification"]
STORE_PARTS = ["classes", "coverage", "datasets", "lineage", "tags", "verification"]


@pytest.fixture
def filled(store):
    """Trades of three days, one corrected, and bars made of them."""
    trades = store.canonical.create(("venue", "trades", "X"), arraystore.schema_by_name("trades"), attributes={"licence": "none"})
    for day, count in ((0, 300), (1, 400), (3, 2)):
        times = START + day * DAY + np.arange(count, dtype=np.int64) * SECOND
        trades.append(trades_at(times, 100 + np.arange(count) / 10))
    trades.replace("2024-08-11", trades_at(np.array([START + 3 * DAY]), np.ones(1)), reason="one was void")
    analysis = arraystore.open_store(store.url, role="analysis")
    bars = analysis.derived.create(("bars", "1m", "venue", "X"), arraystore.schema_by_name("bars"))
    numbers = dict.fromkeys(("open", "high", "low", "close", "volume"), np.ones(1))
    times = {"open_time": np.array([START]), "close_time": np.array([START + 60 * SECOND]), "is_revision": np.zeros(1, np.bool_)}
    bars.append({**times, **numbers}, inputs=[analysis.canonical["venue/trades/X"].pin()])
    return trades


def page_of(store, dataset=None, verify=None):
    return Page(report_page(store=store, dataset=dataset, verify=verify, now=START))


def test_a_datasets_page_tells_all_of_it(store, filled):
    compacted = arraystore.open_store(store.url, role="operations")
    compacted.canonical["venue/trades/X"].compact()
    trades = compacted.canonical["venue/trades/X"]
    page = page_of(compacted, trades)
    assert page.ids == DATASET_PARTS
    windows = page.table("windows")
    assert {name: row["rows"] for name, row in windows.items()} == {"2024-08-08": "300", "2024-08-09": "400", "2024-08-11": "1"}
    states = {manifest.window: manifest.completeness for manifest in trades.manifests()}
    assert {name: row["state"] for name, row in windows.items()} == states
    columns, sizes = page.table("columns"), sizes_of(trades)
    assert list(columns) == list(trades.schema.names)
    for name, each in sizes.columns.items():
        assert columns[name]["ratio"] == (f"{each.ratio:,.1f}" if each.ratio else "")
    versions = page.table("versions")
    assert versions["5"]["operation"] == "replace"
    assert versions["5"]["reason"] == "one was void"
    assert len(versions) == trades.version
    assert "derived" in page.texts["lineage"]
    assert "bars/1m/venue/X" in page.texts["lineage"]
    assert "Nothing found wrong." in page.texts["verification"]
    assert "licence" in page.texts["what"]


def test_sizes_are_those_of_the_arrays(store, filled):
    operations = arraystore.open_store(store.url, role="operations")
    operations.canonical["venue/trades/X"].compact()
    trades = operations.canonical["venue/trades/X"]
    sizes = sizes_of(trades)
    frame = trades.read(columns=["time", "price"])
    in_columns = sum(entry.rows for manifest in trades.manifests() for entry in manifest.segments if entry.segment)
    assert sizes.columns["price"].decoded == in_columns * frame["price"].itemsize
    assert 0 < sum(each.stored for each in sizes.columns.values()) + sizes.tails <= trades.bytes


def test_sizes_of_segments_add_up(store, trades):
    operations = arraystore.open_store(store.url, role="operations")
    found = []
    for day in range(2):
        times = START + day * DAY + np.arange(5000, dtype=np.int64) * SECOND
        trades.append(trades_at(times, np.random.default_rng(5).normal(size=5000)))
        operations.canonical["venue/trades/BTC-USDT"].compact()
        found.append(sizes_of(operations.canonical["venue/trades/BTC-USDT"]).columns["price"])
    once, twice = found
    assert once.stored > 10_000
    assert (twice.stored, twice.decoded) == (2 * once.stored, 2 * once.decoded)
    assert twice.ratio == once.ratio == once.decoded / once.stored


def test_a_stores_page_tells_all_of_it(store, filled):
    store.tag("release", [filled.pin()], reason="the first")
    page = page_of(arraystore.open_store(store.url, role="operations"))
    assert page.ids == STORE_PARTS
    classes = page.table("classes")
    assert (classes["canonical"]["rows"], classes["derived"]["datasets"]) == ("701", "1")
    assert page.table("datasets")["canonical/venue/trades/X"]["first"] == "2024-08-08"
    assert page.table("datasets")["canonical/venue/trades/X"]["rows"] == "701"
    assert page.table("tags")["release"]["reason"] == "the first"
    assert all(f"{name}: " in page.texts["coverage"] for name in ("canonical/venue/trades/X", "derived/bars/1m/venue/X"))
    assert "venue/trades/X" in page.texts["lineage"]
    assert "Nothing found wrong." in page.texts["verification"]


def test_an_empty_store_has_a_page(store):
    page = page_of(store)
    assert page.ids == STORE_PARTS
    assert "No dataset has rows yet." in page.texts["coverage"]
    empty = store.canonical.create(("venue", "trades", "X"), arraystore.schema_by_name("trades"))
    assert page_of(store, empty).ids == DATASET_PARTS


def test_a_run_of_several_series_has_a_page(store):
    backtesting = arraystore.open_store(store.url, role="backtesting")
    with backtesting.experiments.run("grid", run_id="1") as run:
        run.log(sharpe=1.0)
        run.add_file(b"x", name=HOSTILE.replace("/", "-").replace("\x00", "").replace("\u202e", ""))
    page = page_of(backtesting, backtesting.experiments["grid", "1"])
    assert page.ids == DATASET_PARTS
    assert "metrics" in page.table("windows")


def test_every_name_on_a_page_is_only_a_name(store):
    schema = arraystore.Schema(
        name="odd",
        columns=(
            arraystore.Column(name="time", kind="time", clock="axis"),
            arraystore.Column(name="value", unit=HOSTILE[:-2], description=HOSTILE[:-1]),
        ),
        axis="time",
        order="time",
        window="day",
    )
    key = HOSTILE[:-2]
    made = store.canonical.create((key, "odd", key), schema, attributes={key: {key: key}})
    receipt = made.append({"time": [START, START + 1], "value": [1.0, 2.0]}, window_attributes={key: key}, reason=HOSTILE[:-1])
    other = store.canonical.create((key, "odd", "other"), schema)
    other.append({"time": [START], "value": [1.0]}, inputs=[receipt.pin])
    for dataset in (None, made, other):
        text = report_page(store=store, dataset=dataset, verify=None, now=START)
        page = Page(text)
        assert text.count("<script") == 1, "ours, which sorts tables"
        assert "alert" not in text.partition("<script>")[2]
        assert page.tags <= ALLOWED
        assert not [each for each in page.attributes if each[1].startswith("on") or each[1] in {"src", "href", "action"}]
        assert "\u202e" not in text
        assert not re.search(r"url\(|@import|https?://", text)


ALLOWED = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "main",
    "header",
    "h1",
    "h2",
    "p",
    "div",
    "b",
    "span",
    "section",
    "script",
    "i",
}
ALLOWED |= {"dl", "dt", "dd", "code", "table", "thead", "tbody", "tr", "th", "td", "svg", "text", "path", "line", "rect", "g"}


def test_what_is_damaged_is_told_and_the_rest_is_there(tmp_path):
    store = arraystore.open_store(tmp_path / "s", role="data-quality", create=True)
    for name in ("A", "B"):
        made = store.canonical.create(("venue", "trades", name), arraystore.schema_by_name("trades"))
        made.append(trades_at(START + np.arange(3, dtype=np.int64), np.ones(3)))
    damage(tmp_path / "s/canonical/venue/trades/A")
    page = page_of(arraystore.open_store(tmp_path / "s", role="data-quality"))
    assert page.ids == STORE_PARTS
    assert "venue/trades/A" in page.texts["verification"]
    assert "findings" in page.texts["verification"]
    assert "canonical/venue/trades/B" in page.texts["coverage"]


def test_pages_appear_whole_and_replace_nothing_unasked(store, filled, tmp_path):
    place = tmp_path / "page.html"
    assert filled.report(place) == place.stat().st_size
    with pytest.raises(arraystore.AlreadyExists):
        store.report(place)
    assert store.report(place, overwrite=True, verify="no") == place.stat().st_size
    assert "Not looked at" in place.read_text("utf-8")
    with pytest.raises(arraystore.InvalidInput, match="no, quick, deep"):
        store.report(tmp_path / "other.html", verify="some")
    with pytest.raises(arraystore.InvalidInput, match="isn't a dataset"):
        store.report(tmp_path / "other.html", "canonical/venue/trades/X")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_a_role_sees_only_what_it_may(store, filled):
    arraystore.open_store(store.url, role="data-recording").raw.create(("v", "f", "r"), arraystore.schema_by_name("raw_messages"))
    page = page_of(arraystore.open_store(store.url, role="backtesting"))
    assert "raw" not in page.table("classes")
    assert not any(name.startswith("raw/") for name in page.table("datasets"))


def test_drawn_cells_are_those_of_the_matrix(filled):
    drawing = coverage_drawing(matrix_of([days_of(filled)]))
    cells = re.findall(r'<path d="([^"]+)" class="(s-\w+)"', drawing)
    assert {name: path.count("M") for path, name in cells} == {"s-gap": 1, "s-open": 1, "s-complete": 1}, "neighbours of one shade are one"


def test_boxes_lie_right_of_what_they_were_made_from():
    edges = {("raw/a", "canonical/a"), ("canonical/a", "derived/a"), ("raw/a", "derived/a"), ("raw/b", "canonical/a")}
    nodes = ("raw/a", "raw/b", "canonical/a", "derived/a")
    drawing = graph_drawing(Graph(nodes=nodes, edges=frozenset(edges), self_="canonical/a"))
    places = dict(re.findall(r'<title>([^<]+)</title><rect x="([\d.]+)"', drawing))
    assert set(places) == set(nodes)
    assert all(float(places[source]) < float(places[made]) for source, made in edges)
    assert drawing.count('class="edge"') == len(edges)
    assert drawing.count("self") == 1
    circle = Graph(nodes=("raw/a", "raw/b"), edges=frozenset({("raw/a", "raw/b"), ("raw/b", "raw/a")}))
    assert graph_drawing(circle).count("<rect") == 2


def test_lineage_goes_up_as_far_as_may_be_read_and_down(store, filled):
    graph = graph_of(filled, store)
    assert graph.edges == {("canonical/venue/trades/X", "derived/bars/1m/venue/X")}
    bars = arraystore.open_store(store.url, role="analysis").derived["bars/1m/venue/X"]
    assert graph_of(bars, None).nodes == ("derived/bars/1m/venue/X", "canonical/venue/trades/X")
