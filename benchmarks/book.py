"""`book`: snapshots of 20 levels a side, two-dimensional, all of them, warm. Isolates columns of several levels."""

from benchmarks import frame, synthetic
from benchmarks.frame import Figure, Setting
from benchmarks.scan import scanned

COLUMNS = frame.COLUMNS


def run(*, small: bool = False, setting: Setting | None = None) -> list[Figure]:
    """A million snapshots: prices and sizes of both sides."""
    setting = setting or Setting(small=small)
    return scanned(synthetic.books(setting.wide(1_000_000, 30_000)), setting)
