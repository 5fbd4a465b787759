"""`verify` of a store: it names what is wrong and what to do, its cost is what there is, and it can stop and go on."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from click.testing import CliRunner

import arraystore
from arraystore.cli import main
from arraystore.metered import Meter, Metered
from arraystore.storage import MemoryStorage, open_storage
from arraystore.upkeep.verification import Verification
from arraystore.versions.record import encode_record
from tests.store.conftest import DAY, START, rows
from tests.upkeep.conftest import ADDRESS, DAMAGES, NOTES, TRADES, flip, keys, open_root, operations

PARTS = {
    "a chunk": (r"canonical/venue/trades/X/2024-08-09/[^/]+/price/0", "2024-08-09", "price/0"),
    "an array's metadata": (r"canonical/venue/trades/X/2024-08-09/[^/]+/price/zarr.json", "2024-08-09", "price/zarr.json"),
    "an index": (r"canonical/venue/trades/X/2024-08-09/[^/]+/time/_index", "2024-08-09", "time/_index"),
    "a segment only an old version names": (r"canonical/venue/trades/X/2024-08-08/1-[^/]+/size/0", "2024-08-08", "size/0"),
    "a commit with rows": (r"canonical/venue/trades/X/_log/0+4", "", "_log/00000000000000000004"),
    "the newest commit": (r"canonical/venue/trades/X/_log/0+7", "", "_log/00000000000000000007"),
    "the birth certificate": (r"canonical/venue/trades/X/zarr.json", "", ""),
    "a file": (r"canonical/venue/trades/X/_artifacts/[^/]+/data", "", "data"),
    "a file's index": (r"canonical/venue/trades/X/_artifacts/[^/]+/_index", "", ""),
    "a deleted dataset": (r"quarantine/venue/trades/Y/2024-08-08/[^/]+/price/0", "2024-08-08", "price/0"),
    "a run's commit": (r"experiments/grid/1/_log/0+1", "", "_log/00000000000000000001"),
    "a tag": (r"tags/first/0+1", "", ""),
}


def only(url: str, pattern: str) -> str:
    (found,) = [key for key in keys(open_root(url)) if re.fullmatch(pattern, key)]
    return found


def test_a_whole_store_has_no_findings(memory: str) -> None:
    done = operations(memory).verify(deep=True)
    assert (done.findings, done.complete) == ((), True)
    assert {covered.dataset for covered in done.covered} == {
        ADDRESS,
        "canonical/venue/notes/X",
        "quarantine/venue/trades/Y",
        "experiments/grid/1",
    }
    assert all(covered.done for covered in done.covered)
    assert [(covered.version, covered.commits, covered.segments, covered.artifacts) for covered in done.covered][1] == (7, 7, 3, 1)


@pytest.mark.parametrize("damage", [name for name in DAMAGES if name not in ("zeroed", "emptied")])
@pytest.mark.parametrize("part", PARTS)
def test_whatever_is_damaged_is_found_where_it_is(memory: str, part: str, damage: str) -> None:
    pattern, window, file = PARTS[part]
    key = only(memory, pattern)
    DAMAGES[damage](open_root(memory), key)
    found = operations(memory).verify(deep=True).findings
    if part == "the newest commit" and damage == "removed":
        assert found == (), "nothing names it: only an anchor tells (audit)"
        return
    storage_class, _, below = key.partition("/")
    wanted = key if storage_class == "tags" else below
    about = [finding for finding in found if finding.where == wanted or (not file and wanted.startswith(finding.where))]
    assert about, found
    assert all(finding.remedy for finding in found)
    if storage_class != "tags":
        dataset = "/".join([storage_class, *below.split("/")[: 2 if storage_class == "experiments" else 3]])
        assert {finding.dataset for finding in about} == {dataset}
        assert {finding.window for finding in about} == {window}
        assert not file or file in {finding.file for finding in about}


@pytest.mark.parametrize("version", [2, 4, 7])
def test_what_lies_behind_a_break_in_the_log_is_looked_at_all_the_same(memory: str, version: int) -> None:
    root = open_root(memory)
    commit, chunk = only(memory, rf"{ADDRESS}/_log/0+{version}"), only(memory, rf"{ADDRESS}/2024-08-09/[^/]+/price/0")
    other = only(memory, rf"{ADDRESS}/_log/0+5")
    for key in (commit, chunk, other):
        flip(root, key)
    files = {finding.where for finding in operations(memory).verify(deep=True).findings}
    assert {key.partition("/")[2] for key in (commit, chunk, other)} <= files


def test_a_class_root_that_cannot_be_opened_is_a_finding_and_not_the_end(memory: str) -> None:
    open_root(memory).put("canonical/zarr.json", b"{}", durable=True)
    done = operations(memory).verify()
    assert [finding.where for finding in done.findings] == ["zarr.json"]
    assert [covered.dataset for covered in done.covered] == ["quarantine/venue/trades/Y", "experiments/grid/1"]


def test_text_that_no_reader_could_decode_is_found(memory: str) -> None:
    """Written by somebody who doesn't check, with every digest right."""
    from arraystore.datasets.request import Request
    from arraystore.datasets.writer import Writer
    from arraystore.frames.rows import Rows

    dataset = arraystore.open_store(memory, role="data-quality").canonical["venue/notes/X"]
    count = 9000
    payload = np.full(count, ord("a"), np.uint8)
    payload[4321] = 0xFF
    arrays = {
        "time": START + DAY + np.arange(count),
        "text": payload,
        "text_count": np.ones(count, np.uint32),
        "account": np.zeros(count, np.int32),
    }
    made = Rows(schema=NOTES, count=count, arrays=arrays, labels={"account": ("a",)})
    Writer(dataset._log, dataset.uuid).commit(Request(operation="append", role="data-quality", rows=made))
    assert operations(memory).verify(deep=False).findings == ()
    (found,) = operations(memory).verify(deep=True).findings
    assert "row 4321 isn't valid UTF-8" in found.problem
    assert (found.dataset, found.window, found.file) == ("canonical/venue/notes/X", "2024-08-09", "text")


class Counted(MemoryStorage):
    """Counts what is read of each object."""

    reads: ClassVar[Counter[str]] = Counter()

    def get(self, key: str) -> bytes:
        type(self).reads[key] += 1
        return super().get(key)

    def get_ranges(self, key: str, ranges: object) -> list[bytes]:
        type(self).reads[key] += 1
        return super().get_ranges(key, ranges)  # type: ignore[arg-type]


@pytest.mark.parametrize("deep", [False, True])
def test_its_cost_is_what_there_is_whatever_the_number_of_windows(deep: bool) -> None:
    cost = {}
    for count in (100, 400):
        name = f"linear-{count}-{deep}"
        store = arraystore.open_store(f"memory://{name}", role="data-quality", create=True)
        dataset = store.canonical.create(TRADES, arraystore.schema_by_name("trades"))
        for number in range(count):
            dataset.append(rows(1, START + number * DAY))

        def opener(url: str, /, *, create: bool = False) -> MemoryStorage:
            return Counted(*url.removeprefix("memory://").split("/", 1), create=create)

        Counted.reads.clear()
        done = arraystore.open_store(f"memory://{name}", role="operations", opener=opener).verify(deep=deep)
        assert (done.findings, done.covered[0].commits) == ((), count + 1)
        cost[count] = Counted.reads.total(), done.bytes_read
    for place in (0, 1):
        assert cost[400][place] < 4.6 * cost[100][place], cost


def test_it_reads_no_faster_than_it_may() -> None:
    now, waited = [100.0], []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        now[0] += seconds

    storage = MemoryStorage("rate")
    storage.create("a", bytes(3000))
    meter = Meter(1000, clock=lambda: now[0], sleep=sleep)
    metered = Metered(storage, meter)
    metered.get("a")
    metered.get_ranges("a", [(0, 500), (2900, 9000)])
    now[0] += 1000.0  # what wasn't used doesn't add up
    metered.get("a")
    assert (meter.bytes, waited) == (3000 + 600 + 3000, [3.0, pytest.approx(0.6), 3.0])
    now[0] += 1000.0
    assert [len(piece) for piece in metered.iter_ranges("a", [(0, 500), (2900, 9000)])] == [500, 100]
    assert (meter.bytes, waited[3:]) == (3000 + 600 + 3000 + 600, [0.5, pytest.approx(0.1)])


def test_what_was_interrupted_goes_on_and_looks_at_nothing_twice(memory: str, tmp_path: Path) -> None:
    progress, looked = tmp_path / "progress.json", Counter[tuple[str, str]]()
    broken = only(memory, rf"{ADDRESS}/2024-08-09/[^/]+/price/0")
    flip(open_root(memory), broken)

    def stop(now: Verification) -> None:
        last = now.covered[-1]
        looked[last.dataset, last.last if not last.done else "done"] += 1
        if looked.total() % 2 == 0:
            raise KeyboardInterrupt

    runs = 0
    while True:
        runs += 1
        try:
            done = operations(memory).verify(deep=True, progress=progress, tell=stop)
        except KeyboardInterrupt:
            told = json.loads(progress.read_bytes())
            assert not told["complete"]
            assert told["covered"][-1]["dataset"] in {dataset for dataset, _ in looked}
            continue
        break
    whole = operations(memory).verify(deep=True)
    assert runs > 3
    assert set(looked.values()) == {1}
    assert (done.complete, done.covered, set(done.findings)) == (True, whole.covered, set(whole.findings))
    assert done.bytes_read >= whole.bytes_read, "logs are read again, what they name isn't"


def test_a_finished_progress_begins_anew_and_another_ones_is_refused(memory: str, tmp_path: Path) -> None:
    progress = tmp_path / "progress.json"
    store = operations(memory)
    assert store.verify(progress=progress).complete
    again = store.verify(progress=progress, deep=True)
    assert again.complete
    assert json.loads(progress.read_bytes())["deep"]

    def stop(_: Verification) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.verify(progress=progress, tell=stop)
    with pytest.raises(arraystore.InvalidInput, match="another verification"):
        store.verify(progress=progress, deep=True)
    (tmp_path / "other.txt").write_text("notes")
    with pytest.raises(arraystore.InvalidInput, match=r"other\.txt"):
        store.verify(progress=tmp_path / "other.txt")
    assert (tmp_path / "other.txt").read_text() == "notes"


def test_a_dataset_that_went_on_meanwhile_is_checked_as_of_where_it_was_begun(memory: str, tmp_path: Path) -> None:
    def stop(now: Verification) -> None:
        if now.covered[-1].dataset == ADDRESS:
            raise KeyboardInterrupt

    progress = tmp_path / "progress.json"
    with pytest.raises(KeyboardInterrupt):
        operations(memory).verify(deep=True, progress=progress, tell=stop)
    arraystore.open_store(memory, role="data-quality").canonical[TRADES].append(rows(3, START + 3 * DAY))
    done = operations(memory).verify(deep=True, progress=progress)
    assert {covered.dataset: covered.version for covered in done.covered}[ADDRESS] == 7


def test_a_pattern_narrows_it_and_a_role_sees_only_its_own(memory: str) -> None:
    done = operations(memory).verify(["canonical/venue/notes"])
    assert [covered.dataset for covered in done.covered] == ["canonical/venue/notes/X"]
    live = arraystore.open_store(memory, role="live").verify()
    assert {covered.dataset.partition("/")[0] for covered in live.covered} == {"canonical"}
    with pytest.raises(arraystore.AccessDenied, match="quarantine"):
        arraystore.open_store(memory, role="live").verify(["quarantine"])


def test_tags_whose_versions_do_not_follow_each_other_are_found(memory: str) -> None:
    store = operations(memory)
    forged = arraystore.Tag(**(store.tagged("first", 1).to_json() | {"pins": (store.canonical[TRADES].pin(),)}))
    open_storage(f"{memory}/tags").put("first/00000000000000000001", encode_record("tag", forged)[0], durable=True)
    (found,) = store.verify().findings
    assert (found.where, "follows" in found.problem) == ("tags/first/00000000000000000002", True)


def test_the_command_shows_what_is_wrong_and_what_to_do(made_once: Path, tmp_path: Path) -> None:
    import shutil

    root = shutil.copytree(made_once, tmp_path / "store")
    (shard,) = root.glob("canonical/venue/trades/X/2024-08-09/*/price/0")
    shard.write_bytes(shard.read_bytes()[:-3])
    result = CliRunner().invoke(
        main, ["verify", "--root", str(root), "--deep", "--json", "--rate", "500", "--progress", str(tmp_path / "p.json")]
    )
    told = json.loads(result.stdout)
    assert (result.exit_code, told["complete"], told["datasets"]) == (1, True, 4)
    finding = told["findings"][0]
    assert finding["where"] == str(shard.relative_to(root))
    assert (finding["dataset"], finding["window"], finding["segment"], finding["file"]) == (
        ADDRESS,
        "2024-08-09",
        shard.parts[-3],
        "price/0",
    )
    assert "repair --from" in finding["remedy"]
    assert told["bytes_read"] > 0
