"""What every test shares: how hard Hypothesis searches, and where the recorded data lie.

`pytest` runs all but the tests marked `slow` (minutes) and `deep` (as long as you like):

    pytest -m slow
    pytest -m deep --hypothesis-profile=deep
    pytest --hypothesis-profile=deep tests/storage
"""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

PROJECT = Path(__file__).parents[1]

# No deadlines: a busy machine is slow, and that is no bug.
settings.register_profile("dev", max_examples=50, deadline=None)
settings.register_profile("ci", max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("deep", max_examples=5000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings; tests that need it are skipped where it is absent."""
    folder = PROJECT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"recorded data aren't here: {folder} doesn't exist")
    return folder
