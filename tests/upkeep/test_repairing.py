"""`repair` puts back exactly what was there, proves it, believes nothing, and changes nothing that is good."""

import json
import random
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

import arraystore
from arraystore.cli import main
from arraystore.storage import MemoryStorage, open_storage
from arraystore.versions import checkpoint
from arraystore.versions.commit import Commit
from arraystore.versions.record import decode_record, encode_record
from tests.attack.power import FATES, Disk, PowerCutError
from tests.store.conftest import DAY, START, rows
from tests.upkeep.conftest import ADDRESS, DAMAGES, TRADES, contents, flip, keys, open_root, operations
from tests.upkeep.test_copying import Failing, grown, kept, place, told
from tests.upkeep.test_verification import PARTS, only


@pytest.fixture
def copied(memory: str) -> tuple[str, str]:
    """A store, and its copy."""
    url = place()
    operations(memory).copy(url)
    return memory, url


def whole(url: str) -> bool:
    return operations(url).verify(deep=True).findings == ()


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("part", PARTS)
def test_whatever_is_damaged_comes_back_to_the_last_byte(copied: tuple[str, str], part: str, damage: str) -> None:
    here, there = copied
    before, source = kept(here), contents(open_root(there))
    key = only(here, PARTS[part][0])
    DAMAGES[damage](open_root(here), key)
    trial = operations(here).repair(there, trial=True)
    done = operations(here).repair(there)
    assert kept(here) == before
    assert done.unrepaired == ()
    newer = [mended.versions for mended in done.datasets if mended.versions]
    assert len(done.restored) + len(newer) == 1
    assert {each.where for each in trial.restored} == {each.where for each in done.restored}
    if done.restored:
        (restored,) = done.restored
        assert restored.proof
        assert key.endswith(restored.where)
        assert (restored.before == "missing") == (damage == "removed")
    assert whole(here)
    again = operations(here).repair(there)
    assert (again.datasets, again.others, again.checked) == ((), (), done.checked)
    assert contents(open_root(there)) == source, "the copy is only read"


@pytest.mark.parametrize("seed", range(8))
def test_half_of_all_objects_damaged_at_once_come_back(copied: tuple[str, str], seed: int) -> None:
    here, there = copied
    before, chance = kept(here), random.Random(seed)
    root = open_root(here)
    for key in sorted(before):
        if chance.random() < 0.5:
            chance.choice(list(DAMAGES.values()))(root, key)
    assert operations(here).repair(there).unrepaired == ()
    groups = [key for key in before if key.endswith("zarr.json") and before[key] == before["canonical/venue/zarr.json"]]
    assert kept(here) | dict.fromkeys(groups) == before | dict.fromkeys(groups)
    assert whole(here)


def test_a_dataset_that_is_gone_comes_back_whole(copied: tuple[str, str]) -> None:
    here, there = copied
    before, root = kept(here), open_root(here)
    for key in list(keys(root, ADDRESS)):
        root.delete(key)
    done = operations(here).repair(there)
    (mended,) = done.datasets
    assert mended.versions is not None
    assert (mended.dataset, mended.versions.version, done.unrepaired) == (ADDRESS, 7, ())
    assert kept(here) == before


@pytest.mark.parametrize("part", ["a chunk", "an index", "a commit with rows", "a file", "a tag", "the birth certificate"])
def test_what_the_copy_has_damaged_too_is_told_and_not_taken(copied: tuple[str, str], part: str) -> None:
    here, there = copied
    key = only(here, PARTS[part][0])
    other = only(here, r"canonical/venue/notes/X/2024-08-08/[^/]+/time/0")
    flip(open_root(here), key)
    flip(open_root(here), other)
    flip(open_root(there), key, 0.25)
    damaged = open_root(here).get(key)
    done = operations(here).repair(there)
    assert open_root(here).get(key) == damaged, "nothing unproved is written"
    assert [each.where for each in done.restored] == [other.partition("/")[2]]
    assert done.unrepaired
    assert all(each.remedy or each.where.startswith("tags") for each in done.unrepaired)
    assert operations(here).canonical["venue/notes/X"].read().row_count == 9000


def test_a_forged_copy_is_not_believed(copied: tuple[str, str]) -> None:
    """Its segment is whole in itself, and says other things."""
    here, there = copied
    key = only(here, PARTS["a commit with rows"][0])
    root = open_root(here)
    commit, body, _ = decode_record("commit", root.get(key), Commit, key)
    forged = encode_record("commit", msgspec.structs.replace(commit, role="live"), [bytes(body)])[0]
    open_root(there).put(key, forged, durable=True)
    root.delete(key)
    done = operations(here).repair(there)
    assert not root.exists(key)
    assert "can't be proved" in done.unrepaired[0].problem


def test_a_forged_commit_here_is_replaced_by_the_one_that_its_successor_names(copied: tuple[str, str]) -> None:
    here, there = copied
    before, key = kept(here), only(here, rf"{ADDRESS}/_log/0+5")
    commit, body, _ = decode_record("commit", before[key], Commit, key)
    open_root(here).put(key, encode_record("commit", msgspec.structs.replace(commit, role="live"), [bytes(body)])[0], durable=True)
    (restored,) = operations(here).repair(there).restored
    assert restored.proof == "its digest is the one that version 6 names"
    assert kept(here) == before


def test_where_both_went_on_nothing_is_done_until_somebody_says_which_is_right(copied: tuple[str, str]) -> None:
    here, there = copied
    for url, first in ((here, 1), (there, 2)):
        arraystore.open_store(url, role="data-quality").canonical[TRADES].append(rows(3, START + 5 * DAY, first=first))
    mine, theirs = (operations(url).canonical[TRADES].digest for url in copied)
    before = kept(here)
    done = operations(here).repair(there)
    assert ("nothing tells which is right" in done.unrepaired[0].problem, done.restored) == (True, ())
    assert operations(here).repair(there, expect={ADDRESS: {8: mine}}).unrepaired == ()
    assert kept(here) == before
    done = operations(here).repair(there, expect={ADDRESS: {8: theirs}})
    assert (len(done.restored), done.unrepaired) == (1, ())
    assert operations(here).canonical[TRADES].digest == theirs
    assert whole(here)


def test_what_the_log_tells_needs_no_copy() -> None:
    here = place()
    log = grown(here, 200)
    before = kept(here)
    root, damages = open_root(here), list(DAMAGES.values())[:3]
    told_by_log = [key for key in before if "/_checkpoints/" in key or "/_manifests/" in key]
    assert len(told_by_log) > 2
    for number, key in enumerate(told_by_log):
        damages[number % 3](root, key)
    done = operations(here).repair()
    assert {each.proof for each in done.restored} == {"it is what the log says, folded anew"}
    assert kept(here) == before
    assert log.head().checkpoint is not None


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    "what", [r".*/_log/floor", r".*/_checkpoints/0+21", r".*/_manifests/[^/]+", r".*/X/zarr.json", r".*/_log/0+1[0-9]"]
)
def test_a_log_that_begins_at_a_floor_comes_back_too(what: str, damage: str) -> None:
    here, there = place(), place()
    log = grown(here, 20)
    state = log.head()
    checkpoint.write_checkpoint(log.storage, log.prefix, state)
    arraystore.open_store(here, role="data-quality").canonical[TRADES].append(rows(6000, START + 9 * DAY))
    log.publish_floor(state.version)
    held = {entry.tail for name in state.window_names() for entry in state.window(name).tails}
    for version in set(range(1, state.version + 1)) - held:
        log.storage.delete(f"{log.prefix}/_log/{version:020d}")
    operations(here).copy(there)
    before = kept(here)
    key = next(key for key in sorted(before) if re.fullmatch(what, key))
    DAMAGES[damage](open_root(here), key)
    done = operations(here).repair(there)
    assert done.unrepaired == ()
    assert kept(here) == before
    assert whole(here)


def test_only_operations_repairs_and_only_from_a_copy(copied: tuple[str, str]) -> None:
    here, there = copied
    with pytest.raises(arraystore.AccessDenied):
        arraystore.open_store(here, role="data-quality").repair(there)
    other = place()
    arraystore.open_store(other, role="operations", create=True)
    with pytest.raises(arraystore.InvalidInput, match="no copies of each other"):
        operations(here).repair(other)
    with pytest.raises(arraystore.NotFound, match="arraystore copy"):
        operations(here).repair(place() + "/nothing")


def damage_some(url: str) -> dict[str, bytes]:
    """Damage of every kind; returns what is good."""
    root = open_root(url)
    damaged = [
        only(url, PARTS[part][0]) for part in ("a chunk", "an index", "a file", "a commit with rows", "the birth certificate", "a tag")
    ]
    for number, key in enumerate(damaged):
        list(DAMAGES.values())[number % len(DAMAGES)](root, key)
    return {key: data for key, data in kept(url).items() if key not in damaged}


def test_interrupted_at_any_change_no_good_byte_is_touched_and_it_goes_on(made_once: Path) -> None:
    there = str(made_once)
    source = operations(there)
    for step in range(40):
        here = place()
        source.copy(here)
        before = kept(here)
        good = damage_some(here)

        def opener(url: str, /, *, create: bool = False, here: str = here) -> Any:
            if url.startswith("memory://"):
                return (Failing if url.startswith(here) else MemoryStorage)(*url.removeprefix("memory://").split("/", 1), create=create)
            return open_storage(url, create=create)

        Failing.left = step
        ended = False
        with suppress(arraystore.StorageError):
            done = arraystore.open_store(here, role="operations", opener=opener).repair(there)
            ended = done.unrepaired == ()
        now = kept(here)
        assert good.items() <= now.items()
        Failing.left = 10**9
        assert operations(here).repair(there).unrepaired == ()
        assert kept(here) == before
        if ended:
            break
    assert 5 < step < 39


@pytest.mark.parametrize("fate", FATES)
def test_after_a_power_cut_at_any_sync_it_goes_on(fate: Callable[..., Any]) -> None:
    there = place()
    store = arraystore.open_store(there, role="data-quality", create=True)
    dataset = store.canonical.create(TRADES, arraystore.schema_by_name("trades"))
    dataset.append(rows(6000, step=1000))
    dataset.append(rows(3, START + DAY))
    dataset.append(rows(3, START + 2 * DAY))
    cut = 0
    while True:
        cut += 1
        disk = Disk()

        def opener(url: str, /, *, create: bool = False) -> Any:
            return disk.opener(url, create=create) if url.startswith("memory://machine") else open_storage(url, create=create)  # noqa: B023

        def open_here() -> arraystore.Store:
            return arraystore.open_store("memory://machine", role="operations", opener=opener)

        arraystore.open_store(there, role="operations", opener=opener).copy("memory://machine")
        root = disk.opener("memory://machine")
        for pattern, damage in (
            (r".*/price/0", "flipped"),
            (r".*/_log/0+2", "removed"),
            (r".*/_log/0+3", "zeroed"),
            (r".*/time/_index", "emptied"),
        ):
            DAMAGES[damage](root, next(key for key in keys(root) if re.fullmatch(pattern, key)))
        disk = disk.copy()
        disk.cut_before = cut
        ended = False
        with suppress(PowerCutError):
            ended = open_here().repair(there).unrepaired == ()
        disk = disk.after_cut(fate)
        assert open_here().repair(there).unrepaired == ()
        assert open_here().verify(deep=True).findings == ()
        assert told(open_here().canonical[TRADES].read()) == told(dataset.read())
        if ended:
            break
    assert cut > 8


def test_the_command_repairs_and_tells_what_it_could_not(made_once: Path, tmp_path: Path) -> None:
    root, copy = shutil.copytree(made_once, tmp_path / "store"), shutil.copytree(made_once, tmp_path / "copy")
    (shard,) = root.glob("canonical/venue/trades/X/2024-08-09/*/price/0")
    good = shard.read_bytes()
    shard.write_bytes(good[:-3])
    (root / "raw/zarr.json").unlink()

    def run(*args: str) -> Any:
        return CliRunner().invoke(main, ["repair", "--root", str(root), *args])

    trial = run("--from", str(copy), "--dry-run", "--json")
    assert (trial.exit_code, len(json.loads(trial.stdout)["datasets"][0]["restored"])) == (0, 1)
    assert shard.read_bytes() != good
    alone = run()
    assert (alone.exit_code, "price/0" in alone.stdout) == (1, True)
    done = run("--from", str(copy))
    assert (done.exit_code, "price/0" in done.stdout) == (0, True)
    assert shard.read_bytes() == good
    assert CliRunner().invoke(main, ["verify", "--root", str(root), "--deep"]).exit_code == 0
