"""`uv run python -m tests.attack.syncpoints`: how often each operation syncs, which is how many moments there are to cut the power at."""

import sys
from unittest import mock

from tests.attack.power import Disk
from tests.attack.scenarios import OF_SEVERAL_STEPS, SCENARIOS


def sync_points(name: str) -> int:
    """Syncs of one operation, each file and each creation's name for itself; opening the store is part of it."""
    scenario, disk = (SCENARIOS | OF_SEVERAL_STEPS)[name], Disk()
    scenario.setup(disk)
    disk = disk.copy()
    scenario.act(disk)
    return disk.syncs


if __name__ == "__main__":
    with mock.patch("arraystore.versions.checkpoint.MINIMUM_LOG_BYTES", 4096):  # as the tests have it, so that there are checkpoints
        for name in (*SCENARIOS, *OF_SEVERAL_STEPS):
            sys.stdout.write(f"| {name} | {sync_points(name)} |\n")
