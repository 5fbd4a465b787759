"""Every call to the storage fails in turn: the error says so, nothing is half done, and everything works once the medium does."""

import re
from collections.abc import Iterator
from contextlib import suppress
from unittest import mock

import pytest

import arraystore
from tests.attack.failing import BROKEN, FULL, WRITING, Medium
from tests.attack.power import Disk, PowerStorage
from tests.attack.scenarios import KEY, LARGE, SCENARIOS, SMALL, Scenario, canonical, filled, opened, plain

AFTERWARDS = re.compile(r"(create|put) \S+/(_checkpoints|_manifests|_log/latest)")


@pytest.fixture(autouse=True)
def _checkpoints_are_frequent() -> Iterator[None]:
    with mock.patch("arraystore.versions.checkpoint.MINIMUM_LOG_BYTES", 4096):
        yield


def prepared(scenario: Scenario) -> Disk:
    disk = Disk()
    scenario.setup(disk)
    return disk


FAULTS = {
    "full for good": {"number": FULL, "only": WRITING, "lasting": True},
    "failing": {"number": BROKEN},
    "failing after the create": {"number": BROKEN, "only": frozenset({"create"}), "late": True},
    "failing reads": {"number": BROKEN, "only": frozenset({"get", "get_ranges", "iter_ranges", "size", "exists", "list"}), "lasting": True},
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", SCENARIOS)
def test_whichever_call_fails_the_error_says_what_became_of_it(name: str, fault: str) -> None:
    scenario = SCENARIOS[name]
    base = prepared(scenario)
    before = scenario.see(base.copy())
    done = base.copy()
    scenario.act(done)
    after = scenario.see(done)
    call, failed = 0, True
    while failed:
        call += 1
        disk = base.copy()
        medium = Medium(disk.opener)
        medium.fail(call, **FAULTS[fault])
        error: arraystore.ArrayStoreError | None = None
        try:
            scenario.act(medium)
        except arraystore.ArrayStoreError as raised:
            error = raised
        failed = bool(medium.failed)
        assert error is None or not AFTERWARDS.search(medium.failed), f"{error!r}, though the commit stands"
        where = f"call {call}: {medium.failed}: {error!r}"
        medium.heal()
        found = scenario.see(medium)
        if error is None:
            assert found == after, where
        elif isinstance(error, arraystore.CommitUnknown):
            assert found in (before, after), where
        else:
            assert isinstance(error, arraystore.StorageError), where
            assert found == before, where
            assert "as told" in str(error), where
            scenario.act(medium)
            assert scenario.see(medium) == after, where
    assert call > 1


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_handle_whose_call_failed_works_on(fault: str, size: int) -> None:
    base = Disk()
    filled(base)
    rows = canonical(base).rows
    call, failed = 0, True
    while failed:
        call += 1
        medium = Medium(base.copy().opener)
        dataset = canonical(medium)
        medium.fail(call, **FAULTS[fault])
        with suppress(arraystore.StorageError, arraystore.CommitUnknown):
            dataset.append(plain(size, 20_000), token=("writer", 2))
        failed = bool(medium.failed)
        medium.heal()
        dataset.append(plain(size, 20_000), token=("writer", 2))
        dataset.append(plain(size, 30_000), token=("writer", 3))
        assert dataset.rows == dataset.read().row_count == rows + 2 * size, call
        assert not canonical(medium).verify(deep=True)


@pytest.mark.parametrize("fault", ["failing", "failing reads"])
def test_a_read_that_fails_says_so_and_can_be_repeated(fault: str) -> None:
    base = Disk()
    filled(base)
    wanted = canonical(base).read()["size"].tolist()
    call, failed = 0, True
    while failed:
        call += 1
        medium = Medium(base.copy().opener)
        medium.fail(call, **FAULTS[fault])
        found = wanted
        with suppress(arraystore.StorageError):
            found = opened(medium, "analysis").canonical[KEY].read()["size"].tolist()
        assert found == wanted, "an error, or the rows"
        failed = bool(medium.failed)
        medium.heal()
        assert opened(medium, "analysis").canonical[KEY].read()["size"].tolist() == wanted
    assert call > 5


def test_a_tag_whose_own_record_is_told_as_anothers_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """As object stores do, which repeat a request whose answer was lost."""
    disk = Disk()
    filled(disk)
    create = PowerStorage.create

    def repeated(storage: PowerStorage, key: str, data: bytes) -> None:
        create(storage, key, data)
        create(storage, key, data)

    store = opened(disk, "data-quality")
    monkeypatch.setattr(PowerStorage, "create", repeated)
    assert store.tag("t", [canonical(disk).pin()]).version == 1
    monkeypatch.undo()
    assert store.tagged("t").pins == (canonical(disk).pin(),)
