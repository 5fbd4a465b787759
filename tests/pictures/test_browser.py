"""Pages as people see them: opened in headless Chromium, light and dark, looked at part by part. Skipped where there is no Chromium."""

import json
import re
import shutil
import subprocess
from html import unescape

import numpy as np
import pytest

import arraystore
from tests.pictures.conftest import DAY, SECOND, START, trades_at

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: `apt-get install chromium` on Debian"),
]

#: Asked of the page once it is there: which parts are seen and how large, what is loaded besides, and whether sorting works.
PROBE = """<script>
const seen = {};
for (const part of document.querySelectorAll("section")) {
  const box = part.getBoundingClientRect();
  seen[part.id] = {width: box.width, height: box.height, drawn: part.querySelectorAll("svg path, svg rect, td").length};
}
const column = (heading) => {
  const table = document.querySelector("#datasets table, #windows table");
  const head = [...table.tHead.rows[0].cells].find((cell) => cell.textContent === heading);
  const cells = () => [...table.tBodies[0].rows].map((row) => row.cells[head.cellIndex].textContent);
  head.click();
  const up = cells();
  head.click();
  return {up, down: cells()};
};
const answer = {
  seen,
  title: document.title,
  loaded: performance.getEntriesByType("resource").map((each) => each.name),
  background: getComputedStyle(document.body).backgroundColor,
  ink: getComputedStyle(document.body).color,
  wider: document.documentElement.scrollWidth > document.documentElement.clientWidth,
  sorted: column("rows"),
  attacked: window.attacked === true,
};
const told = document.createElement("pre");
told.id = "probe";
told.textContent = JSON.stringify(answer);
document.body.append(told);
</script>"""

HOSTILE = "<img src=x onerror=window.attacked=true>"


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A page of a store and one of a dataset, of names that attack."""
    folder = tmp_path_factory.mktemp("pages")
    store = arraystore.open_store(folder / "store", role="data-quality", create=True)
    for number in range(12):
        key = ("venue", "trades", f"{HOSTILE}{number}")
        trades = store.canonical.create(key, arraystore.schema_by_name("trades"), attributes={HOSTILE: HOSTILE})
        for day in range(3):
            times = START + day * DAY + np.arange(10 * number + 1, dtype=np.int64) * SECOND
            receipt = trades.append(trades_at(times, np.ones(len(times))), reason=HOSTILE)
        analysis = arraystore.open_store(folder / "store", role="analysis")
        made = analysis.derived.create((HOSTILE, "1", "venue", str(number)), arraystore.schema_by_name("trades"))
        made.append(trades_at(times[:1], np.ones(1)), inputs=[receipt.pin])
    operations = arraystore.open_store(folder / "store", role="operations")
    operations.report(folder / "store.html")
    operations.report(folder / "dataset.html", operations.canonical["venue", "trades", f"{HOSTILE}11"], verify="deep")
    arraystore.save_picture(trades.plot.series("price", title=HOSTILE), folder / "series.html")
    return folder


def opened(page, *options):
    """What Chromium has of a page when it is loaded."""
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1240,1600", *options]
    folder = page.parent / "profile"
    done = subprocess.run([*command, f"--user-data-dir={folder}", page.as_uri()], capture_output=True, text=True, timeout=200, check=True)
    return done.stdout


def asked(page, *options):
    probed = page.with_suffix(".probed.html")
    probed.write_text(page.read_text("utf-8").replace("</body>", f"{PROBE}</body>"), "utf-8")
    dom = opened(probed, "--dump-dom", *options)
    return json.loads(unescape(re.search(r'<pre id="probe">(.*?)</pre>', dom, re.DOTALL)[1]))


PARTS = {
    "store.html": ["classes", "coverage", "datasets", "lineage", "tags", "verification"],
    "dataset.html": ["what", "coverage", "columns", "windows", "versions", "lineage", "verification"],
}


@pytest.mark.parametrize("name", PARTS)
def test_chromium_shows_every_part(pages, name):
    found = asked(pages / name)
    assert list(found["seen"]) == PARTS[name]
    assert all(part["width"] > 400 and part["height"] > 40 for part in found["seen"].values())
    assert found["seen"]["coverage"]["drawn"] > 0
    assert found["seen"]["lineage"]["drawn"] > 2
    assert found["loaded"] == [], "a page needs nothing else"
    assert not found["wider"]
    assert not found["attacked"]
    numbers = {way: [int(text.replace(",", "")) for text in found["sorted"][way]] for way in ("up", "down")}
    assert len(numbers["up"]) >= 3
    assert numbers["up"] == sorted(numbers["up"])
    assert numbers["down"] == sorted(numbers["up"], reverse=True)


def brightness(colour):
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3


def test_chromium_shows_light_and_dark(pages):
    light = asked(pages / "dataset.html", "--blink-settings=preferredColorScheme=1")
    dark = asked(pages / "dataset.html", "--blink-settings=preferredColorScheme=0")
    assert brightness(light["background"]) > 200
    assert brightness(light["ink"]) < 100
    assert brightness(dark["background"]) < 60
    assert brightness(dark["ink"]) > 180


def test_chromium_paints_the_pages(pages, tmp_path):
    from matplotlib.image import imread

    for name in ("store.html", "series.html"):
        opened(pages / name, f"--screenshot={tmp_path / 'page.png'}")
        pixels = imread(tmp_path / "page.png")[..., :3]
        assert pixels.shape[1] == 1240
        colours = np.unique((pixels.reshape(-1, 3) * 15).astype(np.int64), axis=0)
        assert len(colours) > 20, "text, lines and shades, and no blank page"
