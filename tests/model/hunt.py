"""`python -m tests.model.hunt arrival|time EXAMPLES SEED`: so many examples of a machine from a seed, unshrunk, and how many ran.

Faster than the deep profile where many processors look for something rare; the same seed finds the same again.
"""

import sys
import time

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model import test_machine

MACHINES = {"arrival": test_machine.DatasetMachine, "time": test_machine.TimeOrderedMachine}
STEPS = 40


def main() -> None:
    """Run one machine; a failure is a traceback and the steps that led to it."""
    name, examples, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    ran = 0

    class Counted(MACHINES[name]):  # type: ignore[misc]
        def __init__(self) -> None:
            nonlocal ran
            ran += 1
            super().__init__()

    chosen = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        stateful_step_count=STEPS,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        phases=[Phase.generate],
    )
    begun = time.monotonic()
    try:
        run_state_machine_as_test(hypothesis.seed(seed)(Counted), settings=chosen)
    finally:
        sys.stdout.write(f"{name}, seed {seed}: {ran} examples in {time.monotonic() - begun:.0f} s\n")


if __name__ == "__main__":
    main()
