"""Pictures as files: whole or not there, self-contained, as the suffix says; figures share no state."""

import sys
import threading

import numpy as np
import pytest

import arraystore
from arraystore.pictures import canvas
from tests.pictures.conftest import START, trades_at


@pytest.fixture
def figure(trades):
    trades.append(trades_at(START + np.arange(20, dtype=np.int64) * 10**9, np.arange(20.0)))
    return trades.plot.series("price", title="</title><script>alert(1)</script>")


def test_the_suffix_says_what_is_written(figure, tmp_path):
    assert arraystore.save_picture(figure, tmp_path / "a.png") == (tmp_path / "a.png").stat().st_size
    assert (tmp_path / "a.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    arraystore.save_picture(figure, tmp_path / "a.svg")
    assert b"<svg" in (tmp_path / "a.svg").read_bytes()
    with pytest.raises(arraystore.InvalidInput, match=r"\.png, \.svg, \.html"):
        arraystore.save_picture(figure, tmp_path / "a.pdf")


def test_a_page_needs_nothing_else(figure, tmp_path):
    arraystore.save_picture(figure, tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text("utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert page.count("<title>") == 1
    assert page.count("<svg") == 1
    assert not [part for part in ("src=", "@import", 'href="http', "url(http") if part in page]


def test_a_file_that_is_there_stays_unless_told(figure, tmp_path):
    place = tmp_path / "a.svg"
    place.write_text("mine")
    with pytest.raises(arraystore.AlreadyExists):
        arraystore.save_picture(figure, place)
    assert place.read_text() == "mine"
    arraystore.save_picture(figure, place, overwrite=True)
    assert "<svg" in place.read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["a.svg"]


def test_the_same_figure_is_the_same_bytes_and_settings_are_left_alone(figure):
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    assert canvas.encode(figure, "svg") == canvas.encode(figure, "svg")
    assert canvas.encode(figure, "png") == canvas.encode(figure, "png")
    assert dict(mpl.rcParams) == before
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_threads_draw_at_once(trades):
    trades.append(trades_at(START + np.arange(20, dtype=np.int64) * 10**9, np.arange(20.0)))
    made: list[bytes] = []
    workers = [threading.Thread(target=lambda: made.append(canvas.encode(trades.plot.series("price"), "svg"))) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(made) == 3
    assert len(set(made)) == 1


def test_a_notebook_shows_a_figure_that_pyplot_knows_nothing_of(figure):
    from IPython.core.formatters import DisplayFormatter
    from matplotlib.figure import Figure

    shown, _ = DisplayFormatter().format(figure)
    assert shown["image/png"][:8] == b"\x89PNG\r\n\x1a\n"
    assert isinstance(figure, Figure)


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(arraystore.Unsupported, match=r"arraystore\[plot\]"):
        canvas.figure(1, 1)
