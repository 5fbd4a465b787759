"""Cards in notebooks: compact, escaped, without anything that could raise."""

from html.parser import HTMLParser

import numpy as np
import pytest

import arraystore
from arraystore.pictures.cards import card
from tests.pictures.conftest import START, trades_at

HOSTILE = '<script>alert("1")</script>'


class Tags(HTMLParser):
    """The tags of a page, and its text; every tag must be closed."""

    def __init__(self, text):
        super().__init__()
        self.seen, self.open, self.text = set(), [], ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += f"{data} "


@pytest.fixture
def hostile(store):
    """A dataset whose every name is an attack."""
    schema = arraystore.Schema(
        name="odd",
        columns=(
            arraystore.Column(name="time", kind="time", clock="axis"),
            arraystore.Column(name="value", unit=HOSTILE, description=HOSTILE),
        ),
        axis="time",
        order="time",
        window="day",
    )
    made = store.canonical.create((HOSTILE, "odd", HOSTILE), schema, attributes={HOSTILE: HOSTILE})
    made.append({"time": [START, START + 1], "value": [1.0, 2.0]}, window_attributes={HOSTILE: HOSTILE}, reason=HOSTILE)
    return made


def things(store, dataset):
    return {
        "store": store,
        "surface": store.canonical,
        "dataset": dataset,
        "view": dataset.at(dataset.version),
        "manifest": dataset.manifest(dataset.windows()[0]),
        "version": dataset.versions()[-1],
        "frame": dataset.read(),
    }


@pytest.mark.parametrize("what", ["store", "surface", "dataset", "view", "manifest", "version", "frame"])
def test_names_in_cards_are_text(store, hostile, what):
    shown = things(store, hostile)[what]._repr_html_()
    tags = Tags(shown)
    assert tags.seen <= {"div", "b", "table", "thead", "tbody", "tr", "th", "td", "br", "span", "small", "caption"}
    assert "<script" not in shown
    if what in {"dataset", "manifest", "version"}:
        assert "alert" in tags.text


def test_cards_tell_what_there_is(store, trades):
    trades.append(trades_at(START + np.arange(1500, dtype=np.int64), np.ones(1500)), coverage=("2024-08-08", "2024-08-09"))
    assert "canonical/venue/trades/BTC-USDT" in trades._repr_html_()
    assert "1,500" in Tags(trades._repr_html_()).text
    assert "1 (1 open)" in Tags(trades._repr_html_()).text
    assert "1,500" in Tags(store.canonical._repr_html_()).text
    assert "2024-08-08T00:00:00Z – 2024-08-09T00:00:00Z" in Tags(trades.manifest("2024-08-08")._repr_html_()).text
    assert "append" in Tags(trades.versions()[-1]._repr_html_()).text
    assert "data-quality" in Tags(store._repr_html_()).text


def test_empty_datasets_and_runs_have_cards(store, trades):
    assert "0 ()" not in trades._repr_html_()
    backtesting = arraystore.open_store(store.url, role="backtesting")
    with backtesting.experiments.run("grid", run_id="1") as run:
        run.log(sharpe=1.0)
    assert "series" in Tags(backtesting.experiments["grid", "1"]._repr_html_()).text


def test_a_damaged_dataset_shows_its_error_and_raises_nothing(tmp_path):
    store = arraystore.open_store(tmp_path / "s", role="data-quality", create=True)
    made = store.canonical.create(("venue", "trades", "X"), arraystore.schema_by_name("trades"))
    made.append(trades_at(START + np.arange(3, dtype=np.int64), np.ones(3)))
    made._state = None
    assert "AttributeError" in made._repr_html_()
    denied = arraystore.open_store(tmp_path / "s", role="backtesting").raw._repr_html_()
    assert "AccessDenied" in denied
    assert "may not read raw" in Tags(denied).text


def test_even_a_thing_without_a_name_has_a_card():
    class Nameless:
        def __repr__(self):
            raise ValueError("<b>no name")

    assert "&lt;b&gt;no name" in card(Nameless())
