"""Copies, checks, repairs and lint of a store that was maintained: what is kept counts, and what is gone isn't missed."""

from pathlib import Path

import pytest

import arraystore
from arraystore.errors import VersionExpired
from tests.maintenance.conftest import KEY, Opened, made, maintained, plain, values

LARGE = 10_000


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    return lambda role: arraystore.open_store(tmp_path / "store", role=role, create=True)


def kept_below(opened: Opened) -> arraystore.Pin:
    """A dataset with a tagged version of a segment and a tail below the floor, and tails that the newest version still has."""
    dataset = made(opened)
    dataset.append(plain(LARGE))
    dataset.append(plain(3, LARGE))
    dataset.add_file(b"bytes", "file")
    pin = dataset.pin()
    opened("data-quality").tag("kept", [pin])
    dataset.replace("2024-08-08", plain(LARGE, 5), reason="r")
    dataset.append(plain(2, 7), reopen=True)
    maintained(opened).compact()
    dataset.append(plain(4, 8), reopen=True)
    dataset.append(plain(4, 9), reopen=True)
    operations = opened("operations")
    operations.expire("canonical", keep_versions=2, delay="0s", dry_run=False)
    operations.gc("canonical", grace="0s", dry_run=False)
    return pin


def test_a_maintained_store_has_nothing_to_complain_about(opened: Opened) -> None:
    kept_below(opened)
    store = opened("operations")
    assert not store.verify(deep=True).findings
    assert store.lint() == []
    maintained(opened).purge("2024-08-08", reason="licence ended")
    assert not store.verify(deep=True).findings
    assert store.lint() == []


def test_a_copy_keeps_what_is_kept(opened: Opened, tmp_path: Path) -> None:
    pin = kept_below(opened)
    wanted = values(opened("operations").open_pin(pin))
    done = opened("operations").copy(tmp_path / "copy")
    assert not done.problems
    copied = arraystore.open_store(tmp_path / "copy", role="operations")
    assert values(copied.open_pin(pin)) == wanted
    assert copied.open_pin(pin).artifacts()["file"].read() == b"bytes"
    assert values(copied.canonical[KEY]) == values(maintained(opened))
    with pytest.raises(VersionExpired):
        copied.canonical[KEY].at(2)
    assert not copied.verify(deep=True).findings


def test_damage_to_what_is_kept_is_found_and_repaired(opened: Opened, tmp_path: Path) -> None:
    pin = kept_below(opened)
    wanted = values(opened("operations").open_pin(pin))
    opened("operations").copy(tmp_path / "copy")
    (segment,) = {path.rpartition("/")[2] for path in opened("operations").open_pin(pin).segments()}
    shard = tmp_path / "store/canonical/venue/trades/X/2024-08-08" / segment / "size/0"
    data = bytearray(shard.read_bytes())
    data[7] ^= 1
    shard.chmod(0o644)
    shard.write_bytes(data)
    assert opened("operations").verify(deep=True).findings
    opened("operations").repair(tmp_path / "copy")
    assert not opened("operations").verify(deep=True).findings
    assert values(opened("operations").open_pin(pin)) == wanted
