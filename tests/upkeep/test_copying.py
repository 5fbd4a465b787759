"""A copy holds the same bytes, is whole at every moment, and goes on where it was interrupted."""

import json
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from obstore.store import MemoryStore

import arraystore
from arraystore.cli import main
from arraystore.storage import MemoryStorage, open_storage
from arraystore.storage.objects import ObjectStorage
from arraystore.versions import checkpoint
from arraystore.versions.log import Log
from tests.attack.power import FATES, Disk, PowerCutError
from tests.store.conftest import DAY, START, rows
from tests.upkeep.conftest import ADDRESS, TRADES, contents, flip, keys, open_root, operations


def place() -> str:
    return f"memory://{uuid.uuid4().hex}"


def kept(url: str) -> dict[str, bytes]:
    """What a store holds, without hints, marks and locks."""
    hints = ("_journal", "_catalog", "_deleted", "latest", "alive", "lock", "_lock", "packed")
    return {key: data for key, data in contents(open_root(url)).items() if key != "zarr.json" and not set(key.split("/")) & set(hints)}


def told(frame: arraystore.Frame) -> object:
    """Every byte of its rows."""
    return {name: array.tobytes() for name, array in frame.rows.arrays.items()}, frame.rows.labels


@pytest.fixture(params=["memory", "local", "bucket"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Any]:
    """Where to, and how to open it (and all else)."""
    if request.param != "bucket":
        return (place() if request.param == "memory" else str(tmp_path / "copy")), open_storage
    buckets: dict[str, ObjectStorage] = {}

    def opener(url: str, /, *, create: bool = False) -> Any:
        if not url.startswith("s3://"):
            return open_storage(url, create=create)
        return buckets.setdefault(url, ObjectStorage(MemoryStore(), url))

    return "s3://bucket/copy", opener


def test_a_copy_reads_as_its_original_wherever_it_lies(made_once: Path, target: tuple[str, Any]) -> None:
    url, opener = target
    source = arraystore.open_store(made_once, role="operations", opener=opener)
    done = source.copy(url)
    assert done.problems == ()
    copy = arraystore.open_store(url, role="operations", opener=opener)
    assert copy.uuid == source.uuid
    assert copy.verify(deep=True).findings == ()
    assert copy.tags() == source.tags()
    for version in (1, 2):
        for pin in source.tagged("first", version).pins:
            assert told(copy.read(pin)) == told(source.read(pin))
    assert copy.canonical[TRADES].artifacts()["report.bin"].read() == source.canonical[TRADES].artifacts()["report.bin"].read()
    assert copy.dependents(copy.canonical[TRADES]) == source.dependents(source.canonical[TRADES])
    assert copy.experiments["grid"].runs().rows == source.experiments["grid"].runs().rows
    assert list(copy.canonical.changes()) == list(source.canonical.changes())
    again = source.copy(url)
    assert ([shipped.version - shipped.have for shipped in again.datasets], again.others) == ([0] * len(again.datasets), 0)


def test_it_holds_the_same_bytes(memory: str) -> None:
    url = place()
    operations(memory).copy(url)
    assert kept(url) == kept(memory)


def test_only_what_is_new_is_brought(memory: str) -> None:
    url = place()
    operations(memory).copy(url)
    arraystore.open_store(memory, role="data-quality").canonical[TRADES].append(rows(20_000, START + 5 * DAY))
    arraystore.open_store(memory, role="data-quality").quarantine.create(("venue", "trades", "Y"), arraystore.schema_by_name("trades"))
    told: list[Any] = []
    done = operations(memory).copy(url, tell=told.append)
    brought = {shipped.dataset: (shipped.have, shipped.version, shipped.segments) for shipped in done.datasets}
    assert (brought[ADDRESS], brought["quarantine/venue/trades/Y"]) == ((7, 8, 1), (3, 4, 0))
    assert [shipped.dataset for shipped in told] == [ADDRESS, "quarantine/venue/trades/Y"]
    assert kept(url) == kept(memory)
    assert ("venue", "trades", "Y") in operations(url).quarantine


def test_a_trial_tells_the_same_and_makes_nothing(memory: str, tmp_path: Path) -> None:
    store = operations(memory)
    trial = store.copy(tmp_path / "copy", trial=True)
    assert list(tmp_path.iterdir()) == []
    done = store.copy(tmp_path / "copy")
    assert (trial.datasets, trial.others) == (done.datasets, done.others)


def test_a_pattern_brings_a_part_and_the_rest_can_follow(memory: str) -> None:
    url = place()
    done = operations(memory).copy(url, ["canonical/venue/notes"])
    assert [shipped.dataset for shipped in done.datasets] == ["canonical/venue/notes/X"]
    assert operations(url).canonical.find() == [("venue", "notes", "X")]
    assert operations(url).tags() == []
    operations(memory).copy(url)
    assert kept(url) == kept(memory)


def test_only_operations_copies_and_never_over_another_store(memory: str) -> None:
    with pytest.raises(arraystore.AccessDenied):
        arraystore.open_store(memory, role="analysis").copy(place())
    other = place()
    arraystore.open_store(other, role="operations", create=True)
    with pytest.raises(arraystore.AlreadyExists, match="a copy needs a place of its own"):
        operations(memory).copy(other)
    with pytest.raises(arraystore.InvalidInput, match="the store itself"):
        operations(memory).copy(memory)


def test_a_copy_that_was_written_to_is_told_and_left_alone(memory: str) -> None:
    url = place()
    operations(memory).copy(url)
    for each, first in ((url, 1), (memory, 2)):
        arraystore.open_store(each, role="data-quality").canonical[TRADES].append(rows(3, START + 5 * DAY, first=first))
    before = kept(url)
    (problem,) = operations(memory).copy(url).problems
    assert (problem.dataset, "version 8 is" in problem.problem) == (ADDRESS, True)
    assert kept(url) == before


def test_what_is_damaged_is_not_copied_and_keeps_nothing_else_back(memory: str) -> None:
    broken = next(key for key in keys(open_root(memory)) if key.startswith(f"{ADDRESS}/2024-08-09") and key.endswith("/price/0"))
    flip(open_root(memory), broken)
    url = place()
    done = operations(memory).copy(url)
    (problem,) = done.problems
    assert broken.partition("/")[2] in problem.problem
    assert operations(url).canonical[TRADES].version == 2, "the version before the one that names it"
    assert operations(url).verify(deep=True).findings == ()
    assert operations(url).canonical["venue/notes/X"].rows == 9000


def grown(url: str, count: int) -> Log:
    """A dataset whose log has checkpoints."""
    store = arraystore.open_store(url, role="data-quality", create=True)
    dataset = store.canonical.create(TRADES, arraystore.schema_by_name("trades"))
    for number in range(count):
        dataset.append(rows(2, START + number % 7 * DAY + number * 10**9), completeness="open")
    return dataset._log


def test_checkpoints_and_manifests_come_along(memory: str) -> None:
    source, url = place(), place()
    log = grown(source, 250)
    assert log.head().checkpoint is not None
    operations(source).copy(url)
    assert kept(url) == kept(source)
    grown_log = Log(open_storage(f"{url}/canonical"), log.prefix, "canonical")
    assert grown_log.head().checkpoint == log.head().checkpoint


@pytest.mark.parametrize("had", [0, 20, 50])
def test_what_retention_removed_is_not_brought_and_the_copy_follows(had: int) -> None:
    source, url = place(), place()
    log = grown(source, 20)
    dataset = arraystore.open_store(source, role="data-quality").canonical[TRADES]
    for number in range(20, 60):
        if had == number:
            operations(source).copy(url)
        dataset.append(rows(2, START + number % 7 * DAY + number * 10**9))
    state = log.head()
    dataset.append(rows(20_000, START + 9 * DAY))
    checkpoint.write_checkpoint(log.storage, log.prefix, state)
    held = {entry.tail for name in state.window_names() for entry in state.window(name).tails}
    log.publish_floor(state.version)
    for version in range(1, state.version + 1):
        if version not in held:
            log.storage.delete(f"{log.prefix}/_log/{version:020d}")
    assert operations(source).copy(url).problems == ()
    copy = operations(url)
    assert copy.verify(deep=True).findings == ()
    assert told(copy.canonical[TRADES].read()) == told(operations(source).canonical[TRADES].read())
    with pytest.raises(arraystore.VersionExpired):
        copy.canonical[TRADES].at(3)


class Failing(MemoryStorage):
    """Fails at the n-th change, and at each one after it."""

    left = 0

    def _step(self) -> None:
        if Failing.left == 0:
            raise arraystore.StorageError(5, "the network is gone")
        Failing.left -= 1

    def create(self, key: str, data: Any) -> None:
        self._step()
        super().create(key, data)

    def put(self, key: str, data: Any, *, durable: bool) -> None:
        self._step()
        super().put(key, data, durable=durable)

    def swap(self, key: str, data: Any, before: bytes | None) -> None:
        self._step()
        super().swap(key, data, before)

    @contextmanager
    def batch(self) -> Iterator[Any]:
        """What was put stays, as after a kill: nobody takes it back."""
        yield _Loose(self)
        self._step()


class _Loose:
    def __init__(self, storage: Failing) -> None:
        self._storage = storage

    def put(self, key: str, data: Any) -> int:
        whole = data if isinstance(data, bytes) else b"".join(data)
        self._storage.create(key, whole)
        return len(whole)


def test_interrupted_at_any_change_it_is_whole_and_goes_on(memory: str) -> None:
    def opener(url: str, /, *, create: bool = False) -> MemoryStorage:
        kind = Failing if url.startswith(copy) else MemoryStorage
        return kind(*url.removeprefix("memory://").split("/", 1), create=create)

    wanted, attempts, step = kept(memory), 0, 0
    while True:
        copy = place()
        Failing.left = step
        store = arraystore.open_store(memory, role="operations", opener=opener)
        try:
            done = store.copy(copy)
        except arraystore.StorageError:
            done = None
        whole = done is not None and not done.problems
        Failing.left = 10**9
        if open_root(copy).exists("execution-records/zarr.json"):
            check = arraystore.open_store(copy, role="operations", opener=opener)
            assert check.verify(deep=True).findings == ()
        assert store.copy(copy).problems == ()
        assert kept(copy) == wanted
        attempts += 1
        if whole:
            break
        step += 1 if step < 12 else 5
    assert attempts > 12


@pytest.mark.parametrize("fate", FATES)
def test_after_a_power_cut_at_any_sync_the_copy_is_whole_and_goes_on(fate: Callable[..., Any]) -> None:
    source = place()
    store = arraystore.open_store(source, role="data-quality", create=True)
    dataset = store.canonical.create(TRADES, arraystore.schema_by_name("trades"))
    dataset.append(rows(6000, step=1000))
    dataset.append(rows(3, START + DAY))
    dataset.add_file(bytes(100), name="f")
    store.tag("t", [dataset.pin()])
    cut = 0
    while True:
        cut += 1
        disk = Disk()
        disk.cut_before = cut

        def opener(url: str, /, *, create: bool = False) -> Any:
            return disk.opener(url, create=create) if url.startswith("memory://machine") else open_storage(url, create=create)  # noqa: B023

        def bring() -> arraystore.Store:
            return arraystore.open_store(source, role="operations", opener=opener)

        ended = False
        with suppress(PowerCutError):
            ended = not bring().copy("memory://machine").problems
        disk = disk.after_cut(fate)
        if disk.opener("memory://machine").exists("execution-records/zarr.json"):
            assert arraystore.open_store("memory://machine", role="operations", opener=opener).verify(deep=True).findings == ()
        assert bring().copy("memory://machine").problems == ()
        copy = arraystore.open_store("memory://machine", role="operations", opener=opener)
        assert copy.verify(deep=True).findings == ()
        assert copy.canonical[TRADES].rows == 6003
        if ended:
            break
    assert cut > 30


def test_on_disk_nothing_of_the_original_changes(made_once: Path, tmp_path: Path) -> None:
    root = shutil.copytree(made_once, tmp_path / "store")
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in root.rglob("*") if path.is_file()}
    operations(str(root)).copy(tmp_path / "copy")
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in root.rglob("*") if path.is_file()} == before


def test_the_command_copies_and_tells(made_once: Path, tmp_path: Path) -> None:
    def run(*args: str) -> Any:
        return CliRunner().invoke(main, ["copy", "--root", str(made_once), "--to", str(tmp_path / "copy"), *args])

    trial = run("--dry-run", "--json")
    assert (trial.exit_code, json.loads(trial.stdout)["dry_run"], (tmp_path / "copy").exists()) == (0, True, False)
    done = run()
    assert (done.exit_code, "0 problems" in done.stdout, f"{ADDRESS} " in done.stdout) == (0, True, True)
    again = run("--json")
    assert {shipped["have"] - shipped["version"] for shipped in json.loads(again.stdout)["datasets"]} == {0}
    assert run("canonical/nothing").exit_code == 3
