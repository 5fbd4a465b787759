"""Pictures of much: 100 million rows in bounded memory, and 20,000 datasets."""

import json
import subprocess
import sys

import pytest

from tests.conftest import PROJECT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

#: Runs by itself, so that its peak of memory is its own. Each append is one of 4 million rows; one row of all is a spike.
SERIES = """
import json, resource, sys
import numpy as np
import arraystore
from arraystore.pictures import canvas
from arraystore.pictures.latency import latency_of
from arraystore.pictures.rows import asked
from arraystore.pictures.series import draw_series, lines_of
rows, part = int(sys.argv[2]), 4_000_000
store = arraystore.open_store(sys.argv[1], role="data-quality", create=True)
schema = arraystore.Schema(
    name="ticks",
    columns=(
        arraystore.Column(name="time", kind="time", clock="axis"),
        arraystore.Column(name="exchange_time", kind="time", clock="exchange"),
        arraystore.Column(name="price"),
    ),
    axis="time", order="arrival", window="day",
)
ticks = store.canonical.create(("venue", "ticks", "X"), schema)
start = 1_700_000_000_000_000_000
for first in range(0, rows, part):
    numbers = np.arange(first, min(first + part, rows), dtype=np.int64)
    price = 100 + (numbers % 1000) / 100
    price[numbers == rows // 3] = 5000.0
    times = start + numbers * 1_000_000
    ticks.append({"time": times, "exchange_time": times - 1_000_000 - (numbers * 7919) % 5_000_011, "price": price})
del numbers, price, times
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
part = asked(ticks)
(line,) = lines_of(part, "price")
canvas.encode(draw_series(part, [line]), "png")
found = latency_of(part)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
median = found.counts.quantiles((0.5,))[0]
print(json.dumps({"rows": line.rows, "points": len(line.values), "highest": line.reach[1], "median": median,
                  "rounded": found.counts.rounded, "before": before >> 10, "after": after >> 10}))
"""


def test_a_hundred_million_rows_are_drawn_in_bounded_memory(tmp_path):
    rows = 100_000_000
    done = subprocess.run([sys.executable, "-c", SERIES, str(tmp_path / "s"), str(rows)], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert told["rows"] == rows
    assert told["points"] <= 8000
    assert told["highest"] == 5000.0, "the one spike among them is drawn"
    assert told["rounded"]
    assert told["median"] == pytest.approx(1_000_000 + 5_000_010 / 2, rel=1e-3)
    assert told["after"] < 1400, f"MiB at most: {told}"


MANY = """
import json, resource, sys, time
import arraystore
import numpy as np
from tests.pictures.conftest import START, trades_at
store = arraystore.open_store(sys.argv[1], role="data-quality", create=True)
schema = arraystore.schema_by_name("trades")
for number in range(int(sys.argv[2])):
    made = store.canonical.create(("venue", "trades", f"S{number:05}"), schema)
    made.append(trades_at(START + np.arange(1 + number % 7, dtype=np.int64), np.ones(1 + number % 7)))
begun = time.process_time()
figure = store.plot.coverage()
words = figure.axes[0].get_xlabel()
drawn = time.process_time() - begun
written = store.report(sys.argv[1] + ".html")
print(json.dumps({"words": words, "drawn": drawn, "report": time.process_time() - begun - drawn, "bytes": written,
                  "rows": len(figure.axes[0].get_yticks()), "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10}))
"""


def test_twenty_thousand_datasets_make_a_picture_and_a_page(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", MANY, str(tmp_path / "s"), "20000"], capture_output=True, text=True, check=True, cwd=PROJECT
    )
    told = json.loads(done.stdout)
    assert told["rows"] == 60
    assert "19,940 more datasets" in told["words"]
    assert told["bytes"] < 2_000_000
    assert told["memory"] < 1000, f"MiB at most: {told}"
