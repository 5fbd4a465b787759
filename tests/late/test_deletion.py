"""A dataset is deleted: what is left says who, when and why; pins read on, old handles don't write, another may be made."""

import re

import numpy as np
import pytest

import arraystore
from tests.store.conftest import OpenAs, rows

pytestmark = pytest.mark.parametrize("open_as", ["memory", "local"], indirect=True)

KEY = ("bars", "1m", "venue", "BTCUSDT")


def new(open_as: OpenAs) -> arraystore.Dataset:
    return open_as("analysis").derived.create(KEY, arraystore.schema_by_name("trades"))


def test_a_deleted_dataset_isnt_found_and_says_what_happened(open_as: OpenAs) -> None:
    dataset = new(open_as)
    dataset.append(rows(3))
    pin = dataset.pin()
    surface = open_as("analysis").derived
    assert surface.delete(KEY, reason="recomputed elsewhere") == 3
    for reader in (surface, open_as("live").derived):
        with pytest.raises(arraystore.NotFound, match=r"deleted in version 3 at 20.* by analysis on .*: recomputed elsewhere"):
            reader[KEY]
        assert KEY not in reader
        assert reader.find() == []
    with pytest.raises(arraystore.NotFound, match="recomputed elsewhere"):
        surface.delete(KEY, reason="again")
    assert np.asarray(open_as("live").read(pin)["size"]).tolist() == [0, 1, 2], "its pins still read"
    assert open_as("live").open_pin(pin).rows == 3
    assert dataset.read().row_count == 3, "so do its handles, at the version they are at"


def test_changes_tell_of_a_deletion_and_of_what_is_made_after_it(open_as: OpenAs) -> None:
    new(open_as).append(rows(3))
    surface = open_as("analysis").derived
    before = open_as("live").derived.changes()
    surface.delete(KEY, reason="no longer used")
    after = open_as("live").derived.changes(before.cursor)
    assert [(change.key, change.operation, change.version) for change in after] == [(KEY, "delete", 3)]
    new(open_as)
    more = open_as("live").derived.changes(after.cursor)
    assert [(change.operation, change.version) for change in more] == [("create", 4)]
    assert more[0].dataset != after[0].dataset


def test_what_is_made_in_its_place_is_another_dataset_that_goes_on_counting(open_as: OpenAs) -> None:
    old = new(open_as)
    old.append(rows(3), token=("job", 7))
    pin = old.pin()
    open_as("analysis").derived.delete(KEY, reason="wrong formula")
    again = new(open_as)
    assert (again.version, again.rows, again.windows()) == (4, 0, ())
    assert again.uuid != old.uuid
    assert again.token_version("job") is None
    again.append(rows(1, first=9), token=("job", 0))
    live = open_as("live")
    assert np.asarray(live.derived[KEY].read()["size"]).tolist() == [9]
    assert np.asarray(live.read(pin)["size"]).tolist() == [0, 1, 2]
    assert [version.operation for version in again.versions()] == ["create", "append", "delete", "create", "append"]
    assert not again.verify(deep=True)


@pytest.mark.parametrize("again", [False, True])
def test_handles_of_what_was_deleted_write_no_more(open_as: OpenAs, again: bool) -> None:
    old = new(open_as)
    old.append(rows(3))
    open_as("analysis").derived.delete(KEY, reason="wrong formula")
    if again:
        new(open_as)
    told = re.compile("was deleted, and .* was made in its place" if again else "wrong formula")
    schema = old.schema
    for attempt in (
        lambda: old.append(rows(1)),
        lambda: old.append_stream([rows(1)]),
        lambda: old.replace("2024-08-08", rows(1), reason="better"),
        lambda: old.withdraw("2024-08-08", reason="worse"),
        lambda: old.update(attributes={"a": 1}),
        lambda: old.add_file(b"x", name="x"),
        lambda: old.evolve(schema),
        old.refresh,
    ):
        with pytest.raises(arraystore.NotFound, match=told):
            attempt()
    assert old.read().row_count == 3


def test_deleting_needs_a_reason_and_the_right(open_as: OpenAs) -> None:
    new(open_as)
    with pytest.raises(arraystore.InvalidInput, match="reason"):
        open_as("analysis").derived.delete(KEY, reason="")
    with pytest.raises(arraystore.AccessDenied):
        open_as("live").derived.delete(KEY, reason="tidy")
    with pytest.raises(arraystore.AccessDenied, match="nobody"):
        open_as("data-quality").canonical.delete(("a", "b", "c"), reason="tidy")
    with pytest.raises(arraystore.NotFound, match="no dataset"):
        open_as("analysis").derived.delete((*KEY[:3], "ETHUSDT"), reason="tidy")
    assert KEY in open_as("analysis").derived
