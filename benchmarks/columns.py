"""`columns`: 2 of 12 columns of a day, warm. Isolates what is read of a wide table when little of it is wanted."""

from benchmarks import frame, synthetic
from benchmarks.frame import Figure, Setting
from benchmarks.scan import scanned
from benchmarks.tables.base import Query

COLUMNS = frame.COLUMNS
WANTED = ("bid_price", "ask_price")


def run(*, small: bool = False, setting: Setting | None = None) -> list[Figure]:
    """Both prices of quotes."""
    setting = setting or Setting(small=small)
    return scanned(synthetic.quotes(setting.count(10_000_000, 300_000)), setting, Query(columns=WANTED))
