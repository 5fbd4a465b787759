"""`plot` writes what it is asked for, and nothing in place of what is there."""

import pytest

TRADES = "canonical/binance-usdm/trades/BTC=2FUSDT"


@pytest.mark.parametrize(("kind", "names"), [("series", [TRADES]), ("coverage", ["canonical"]), ("coverage", [])])
def test_a_picture_is_written_and_told(run_json, tmp_path, kind, names):
    place = tmp_path / f"{kind}.svg"
    told = run_json("plot", kind, *names, "-o", str(place))
    assert told == {"kind": kind, "of": names, "file": str(place), "bytes": place.stat().st_size}
    assert b"<svg" in place.read_bytes()


def test_a_file_that_is_there_is_replaced_only_with_force(run, tmp_path):
    place = tmp_path / "p.svg"
    place.write_text("mine")
    refused = run("plot", "series", TRADES, "-o", str(place))
    assert refused.exit_code != 0
    assert place.read_text() == "mine"
    done = run("plot", "series", TRADES, "-o", str(place), "--force", "--title", "of my own")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "of my own" in place.read_text()


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["series", TRADES, "-o", "x.gif"], "let it end in .png, .svg, .html"),
        (["series", "-o", "x.png"], "takes one dataset"),
        (["series", TRADES, "-o", "x.png", "--depth", "3"], "--depth: is for book, not for series"),
        (["coverage", "-o", "x.png", "--columns", "price", "--version", "1"], "--columns: is for series"),
        (["book", TRADES, "-o", "x.png"], "keeps no book by price"),
        (["latency", TRADES, "-o", "x.png"], "when it was seen"),
        (["series", TRADES, "-o", "x.png", "--columns", "side"], "holds vocabulary values"),
        (["series", TRADES, "-o", "nowhere/x.png"], "there is no directory"),
    ],
)
def test_what_cannot_be_is_one_line_and_no_file(run, tmp_path, monkeypatch, args, told):
    monkeypatch.chdir(tmp_path)
    result = run("plot", *args)
    assert result.exit_code == 2
    assert told in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_help_tells_each_kind(run):
    shown = run("plot", "--help").stdout
    assert all(kind in shown for kind in ("series", "book", "latency", "coverage"))


@pytest.mark.parametrize("names", [[], [TRADES]])
def test_a_page_is_written_and_told(run_json, tmp_path, names):
    place = tmp_path / "page.html"
    told = run_json("report", "--html", str(place), *names)
    assert (told["file"], told["bytes"]) == (str(place), place.stat().st_size)
    assert "binance-usdm/trades/BTC=2FUSDT" in place.read_text("utf-8")


def test_a_page_of_an_earlier_version_is_of_that_version(run, tmp_path):
    place = tmp_path / "page.html"
    assert run("report", "--html", str(place), TRADES, "--version", "2", "--verify", "no").exit_code == 0
    assert "Version 2 as operations sees it" in place.read_text("utf-8")
    again = run("report", "--html", str(place), TRADES)
    assert again.exit_code != 0
    assert "exists" in again.stderr
    assert run("report", "--html", str(place), TRADES, "--force").exit_code == 0
    refused = run("report", "--html", str(tmp_path / "other.html"), "--version", "2")
    assert (refused.exit_code, "name one" in refused.stderr) == (2, True)
