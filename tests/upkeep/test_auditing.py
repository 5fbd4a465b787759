"""`audit` tells who wrote what, and finds every change of the past relative to a head that is known."""

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

import arraystore
from arraystore.cli import main
from arraystore.storage.base import Storage
from arraystore.versions.commit import Commit
from arraystore.versions.record import decode_record, encode_record
from tests.store.conftest import DAY, START, rows
from tests.upkeep.conftest import ADDRESS, TRADES, contents, flip, keys, open_root, operations
from tests.upkeep.test_copying import grown, place

NOTES = "canonical/venue/notes/X"
NEWEST = 7


def key_of(version: int, address: str = ADDRESS) -> str:
    return f"{address}/_log/{version:020d}"


def altered(root: Storage, version: int, **changes: Any) -> str:
    """Change a commit, with a digest that is right for it; returns that."""
    commit, body, _ = decode_record("commit", root.get(key_of(version)), Commit, "")
    data, digest = encode_record("commit", msgspec.structs.replace(commit, **changes), [bytes(body)])
    root.put(key_of(version), data, durable=True)
    return digest


def forge(root: Storage, first: int, **changes: Any) -> None:
    """Change a version, and have all that follow it name the new digests: a whole chain, which tells something else."""
    digest = altered(root, first, **changes)
    for version in range(first + 1, NEWEST + 1):
        digest = altered(root, version, previous=digest)


def without_tags_and_runs(url: str) -> None:
    """Take away what else anchors the dataset."""
    root = open_root(url)
    for key in [*keys(root, "tags"), *keys(root, "experiments/grid"), *keys(root, "lineage")]:
        root.delete(key)


def swap(root: Storage, one: str, other: str) -> None:
    first, second = root.get(one), root.get(other)
    root.put(one, second, durable=True)
    root.put(other, first, durable=True)


def swap_datasets(root: Storage) -> None:
    """Each lies where the other one was."""
    trades, notes = (contents_below(root, address) for address in (ADDRESS, NOTES))
    for address, objects in ((ADDRESS, notes), (NOTES, trades)):
        for key in list(keys(root, address)):
            root.delete(key)
        for key, data in objects.items():
            root.put(f"{address}/{key}", data, durable=True)


def contents_below(root: Storage, prefix: str) -> dict[str, bytes]:
    return {key.removeprefix(f"{prefix}/"): root.get(key) for key in keys(root, prefix)}


TAMPERINGS: dict[str, Callable[[Storage], object]] = {
    "an edited commit": lambda root: altered(root, 4, reason="nothing to see"),
    "an edited newest commit": lambda root: altered(root, NEWEST, role="live"),
    "a flipped bit": lambda root: flip(root, key_of(3)),
    "the newest removed": lambda root: root.delete(key_of(NEWEST)),
    "the two newest removed": lambda root: [root.delete(key_of(version)) for version in (NEWEST, NEWEST - 1)],
    "one in the middle removed": lambda root: root.delete(key_of(4)),
    "the first removed": lambda root: root.delete(key_of(1)),
    "all removed": lambda root: [root.delete(key) for key in list(keys(root, ADDRESS))],
    "two exchanged": lambda root: swap(root, key_of(4), key_of(5)),
    "one taken from another dataset": lambda root: root.put(key_of(2), root.get(key_of(2, NOTES)), durable=True),
    "a forged chain": lambda root: forge(root, 2, role="live"),
    "a forged beginning": lambda root: forge(root, 1, role="live"),
    "datasets exchanged": swap_datasets,
    "another birth certificate": lambda root: root.put(f"{ADDRESS}/zarr.json", root.get(f"{NOTES}/zarr.json"), durable=True),
}


@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_every_change_of_the_past_is_found_by_a_trusted_head(memory: str, tampering: str) -> None:
    heads = operations(memory).heads()
    without_tags_and_runs(memory)
    assert operations(memory).audit(["canonical"], expect=[heads]).is_clean
    TAMPERINGS[tampering](open_root(memory))
    audit = operations(memory).audit(["canonical"], expect=[heads])
    assert not audit.is_clean
    wrong = {finding.dataset for finding in audit.findings} | {anchor.dataset for anchor in audit.anchors if anchor.status == "broken"}
    assert ADDRESS in wrong
    assert tampering == "datasets exchanged" or NOTES not in wrong


@pytest.mark.parametrize("tampering", TAMPERINGS)
@pytest.mark.parametrize("anchor", ["tags", "copy"])
def test_tags_and_copies_anchor_what_they_name(memory: str, tampering: str, anchor: str) -> None:
    copy = place()
    if anchor == "copy":
        without_tags_and_runs(memory)
    operations(memory).copy(copy)
    copies = [copy] if anchor == "copy" else []
    assert operations(memory).audit(copies=copies).is_clean
    TAMPERINGS[tampering](open_root(memory))
    assert not operations(memory).audit(copies=copies).is_clean


def test_what_lies_after_the_last_anchor_rests_on_itself_and_is_told(memory: str) -> None:
    store = operations(memory)
    (trades,) = [each for each in store.audit().datasets if each.dataset == ADDRESS]
    assert (trades.version, trades.anchored, trades.whole) == (7, 7, True)
    arraystore.open_store(memory, role="data-quality").canonical[TRADES].append(rows(3, START + 5 * DAY))
    (trades,) = [each for each in operations(memory).audit().datasets if each.dataset == ADDRESS]
    assert (trades.version, trades.anchored) == (8, 7)
    open_root(memory).delete(key_of(8))
    assert operations(memory).audit().is_clean, "without an anchor, nobody can tell"


def test_a_whole_forged_chain_is_believed_without_an_anchor_and_the_documents_say_so(memory: str) -> None:
    without_tags_and_runs(memory)
    forge(open_root(memory), 2, role="live")
    assert operations(memory).audit().is_clean
    text = (Path(__file__).parents[2] / "docs" / "operations.md").read_text("utf-8")
    assert "What can't be found without an anchor" in text


def test_a_changed_tag_is_found_by_the_version_after_it_and_by_what_it_names(memory: str) -> None:
    root = open_root(memory)
    key = "tags/first/00000000000000000002"
    tag, _, _ = decode_record("tag", root.get(key), arraystore.Tag, key)
    wrong = msgspec.structs.replace(tag.pins[0], digest="0" * 64)
    root.put(key, encode_record("tag", msgspec.structs.replace(tag, pins=(wrong,)))[0], durable=True)
    audit = operations(memory).audit()
    (broken,) = [anchor for anchor in audit.anchors if anchor.status == "broken"]
    assert (broken.kind, broken.source, broken.dataset) == ("tag", "first version 2", ADDRESS)
    first = "tags/first/00000000000000000001"
    root.put(first, encode_record("tag", msgspec.structs.replace(tag, version=1, previous="", reason="forged"))[0], durable=True)
    assert [finding.where for finding in operations(memory).audit().findings] == [key]


def test_another_checkpoint_or_manifest_in_its_place_is_found() -> None:
    url = place()
    log = grown(url, 200)
    root = open_root(url)
    checkpoints = [key for key in keys(root) if "/_checkpoints/" in key]
    manifests = sorted(key for key in keys(root) if "/_manifests/" in key)
    assert operations(url).audit().is_clean
    before = contents(root)
    exchanged = [(key, manifests[number - 1]) for number, key in enumerate(manifests)]
    for key, other in ((checkpoints[0], ""), (checkpoints[-1], ""), *exchanged):
        if not other:
            record, body, _ = decode_record("checkpoint", before[key], dict, key)
            data = encode_record("checkpoint", record | {"profile": "portable"}, [bytes(body)])[0]
        else:
            data = before[other]
        root.put(key, data, durable=True)
        (found,) = operations(url).audit().findings
        assert found.where == key.partition("/")[2]
        root.put(key, before[key], durable=True)
    assert log.head().version == 201


def test_pins_in_other_datasets_are_anchors(memory: str) -> None:
    root = open_root(memory)
    for key in list(keys(root, "tags")):
        root.delete(key)
    audit = operations(memory).audit()
    assert {(anchor.kind, anchor.dataset, anchor.version, anchor.status) for anchor in audit.anchors} == {("pin", ADDRESS, 7, "held")}
    forge(root, 3, reason="forged")
    (broken,) = operations(memory).audit().anchors
    assert (broken.status, broken.source.partition(" ")[0]) == ("broken", "experiments/grid/1")


def test_an_anchor_below_the_floor_tells_nothing(memory: str) -> None:
    from arraystore.versions import checkpoint
    from arraystore.versions.log import Log

    heads = operations(memory).heads([ADDRESS])
    dataset = arraystore.open_store(memory, role="data-quality").canonical[TRADES]
    dataset.append(rows(9000, START + 2 * DAY, first=10, step=10**7))
    dataset.append(rows(9000, START + 7 * DAY))
    log: Log = dataset._log
    checkpoint.write_checkpoint(log.storage, log.prefix, log.at(8))
    log.publish_floor(8)
    audit = operations(memory).audit([ADDRESS], expect=[heads])
    assert {anchor.status for anchor in audit.anchors} == {"expired"}
    assert (audit.is_clean, audit.datasets[0].oldest) == (True, 9)


def test_it_tells_who_wrote_what_when_from_where_in_order(memory: str) -> None:
    audit = operations(memory).audit()
    assert [written.running_time for written in audit.written] == sorted(written.running_time for written in audit.written)
    first = audit.written[0].to_json()
    assert (first["dataset"], first["version"], first["operation"]) == (ADDRESS, 1, "create")
    assert (first["role"], first["host"], first["process"]) == ("data-quality", socket.gethostname(), str(os.getpid()))
    operation = {(written.dataset, written.version.number): written.version for written in audit.written}
    assert operation[ADDRESS, 6].reason == "a correction"
    assert operation["quarantine/venue/trades/Y", 3].operation == "delete"
    assert len(audit.written) == sum(each.version for each in audit.datasets)


def test_a_role_audits_what_it_may_read(memory: str) -> None:
    audit = arraystore.open_store(memory, role="analysis").audit()
    assert {written.dataset.partition("/")[0] for written in audit.written} == {"canonical", "experiments"}
    assert audit.is_clean


def test_heads_go_through_a_file_that_cannot_be_changed(memory: str) -> None:
    from arraystore.upkeep.auditing import read_heads

    store = operations(memory)
    heads = store.heads()
    data = json.dumps(heads.to_json()).encode()
    assert read_heads(data, store.uuid, "file") == heads
    with pytest.raises(arraystore.InvalidInput, match="was changed"):
        read_heads(data.replace(b'"version": 7', b'"version": 6'), store.uuid, "file")
    with pytest.raises(arraystore.InvalidInput, match="tells of store"):
        read_heads(data, "another", "file")
    with pytest.raises(arraystore.InvalidInput, match="holds no heads"):
        read_heads(b"[]", store.uuid, "file")


def test_the_command_exports_heads_and_holds_the_store_to_them(made_once: Path, tmp_path: Path) -> None:
    import shutil

    root = shutil.copytree(made_once, tmp_path / "store")

    def run(*args: str) -> Any:
        return CliRunner().invoke(main, ["audit", "--root", str(root), *args])

    heads = run("--head", "--json")
    file = tmp_path / "heads.json"
    file.write_text(heads.stdout)
    (head,) = [head for head in json.loads(heads.stdout)["heads"] if head["dataset"] == ADDRESS]
    expected = f"{head['version']}:{head['digest']}"
    assert f"{ADDRESS} " in run("--head").stdout
    assert expected in run("--head").stdout
    assert run("--expect", str(file)).exit_code == 0
    assert run(ADDRESS, "--expect", expected).exit_code == 0
    assert run("--expect", f"{ADDRESS}={expected}").exit_code == 0
    assert run("--expect", expected).exit_code == 2
    assert run("--expect", "nothing").exit_code == 2
    told = run()
    assert (told.exit_code, "data-quality" in told.stdout, "0 broken" in told.stdout) == (0, True, True)
    (root / key_of(7)).unlink()
    for args in (["--expect", str(file)], [ADDRESS, "--expect", expected]):
        found = run(*args)
        assert (found.exit_code, "the log ends at version 6" in found.stdout) == (1, True)
    broken = json.loads(run("--expect", str(file), "--json").stdout)
    assert (broken["clean"], [each["status"] for each in broken["anchors"]].count("broken")) == (False, 3)
