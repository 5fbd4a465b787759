"""What is purged is gone from every version, to the last byte; who reads it is told, and everything else reads on."""

from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import numpy as np
import pytest

import arraystore
from arraystore import Column, Kind, Purged, Schema
from arraystore.datasets.writer import Writer
from arraystore.errors import AccessDenied, InvalidInput, NotFound, WindowClosed
from arraystore.segments.index import forget_indexes
from arraystore.storage import MemoryStorage
from arraystore.versions.record import encode_record
from arraystore.versions.redaction import redact
from tests.attack.power import FATES, Disk, PowerCutError
from tests.maintenance.conftest import KEY, Opened, made, maintained, spread, values
from tests.store.conftest import DAY, START

LARGE = 10_000
SECRET = 123_456.789  # a number, and a label, to look for in every file
LABEL = "a-licensed-name"


def schema() -> Schema:
    return Schema(
        name="plain",
        order="arrival",
        columns=(Column(name="time", kind=Kind.TIME), Column(name="size"), Column(name="name", kind=Kind.DICTIONARY)),
    )


def rows(count: int, day: int, value: float, name: str = "x") -> dict[str, Any]:
    return {"time": START + day * DAY + np.arange(count), "size": np.full(count, value), "name": [name] * count}


def licensed(opened: Opened) -> arraystore.Dataset:
    """Two days: of the first, which is to go, there are a corrected segment, another, and tails, one in a commit with the second's."""
    dataset = opened("data-quality").canonical.create(KEY, schema())
    dataset.append(rows(LARGE, 0, SECRET, LABEL))
    dataset.append(rows(LARGE, 1, 1.0))
    dataset.replace("2024-08-08", rows(LARGE, 0, SECRET), reason="r")
    both = {name: np.concatenate([rows(2, 0, SECRET, LABEL)[name], rows(2, 1, 2.0, "kept")[name]]) for name in ("time", "size", "name")}
    dataset.append(both, reopen=True)
    dataset.append(rows(3, 0, SECRET, LABEL), reopen=True)
    return dataset


def read(dataset: arraystore.DatasetView, day: int) -> list[float]:
    return dataset.read(START + day * DAY, START + (day + 1) * DAY)["size"].tolist()


def test_rows_go_from_every_version_and_whoever_reads_them_is_told(opened: Opened) -> None:
    dataset = licensed(opened)
    store = opened("data-quality")
    store.tag("t", [dataset.pin()])
    pin = dataset.pin("2024-08-08", "2024-08-09")
    other = {version: read(dataset.at(version), 1) for version in range(3, 7)}
    done = maintained(opened).purge("2024-08-08", reason="licence ended")
    assert done.version == 7
    assert [(each.rows, each.segments, each.commits) for each in done.windows] == [(LARGE + 5, 2, 2)]
    forget_indexes()
    found = maintained(opened)
    assert (read(found, 0), read(found, 1)) == ([], other[6])
    assert found.manifest("2024-08-08").attributes == {"withdrawn": "purged: licence ended"}
    for version in range(2, 7):
        with pytest.raises(Purged, match=r"window 2024-08-08 was purged in version 7 on 20.* by operations: licence ended"):
            read(found.at(version), 0)
        assert version < 3 or read(found.at(version), 1) == other[version]
        assert found.at(version).manifest("2024-08-08").segments, "what there was is still told"
    with pytest.raises(Purged):
        opened("analysis").read(pin)
    with pytest.raises(Purged):
        found.diff(2, 4)
    with pytest.raises(Purged):
        read(arraystore.open_store(store.url, role="analysis", tag="t").canonical[KEY], 0)
    assert not found.verify(deep=True)
    assert [version.number for version in found.versions()] == list(range(1, 8))


def test_whoever_reads_purged_rows_is_told_of_the_window_that_they_were_in(opened: Opened) -> None:
    dataset = opened("data-quality").canonical.create(KEY, schema())
    dataset.append(rows(2, 0, 1.0))
    dataset.append(rows(2, 1, 2.0))
    dataset.withdraw("2024-08-08", reason="bad")
    maintained(opened).purge(["2024-08-08", "2024-08-09"], reason="licence ended")
    with pytest.raises(Purged, match="window 2024-08-09 was purged"):
        dataset.at(4).read()
    with pytest.raises(Purged, match="window 2024-08-08 was purged"):
        dataset.at(2).read()


def test_a_purge_outlives_the_dataset_and_reaches_those_before_it(opened: Opened) -> None:
    analysis, key = opened("analysis"), ("product", "variant", "venue", "X")
    pins = []
    for life in range(3):
        dataset = analysis.derived.create(key, schema())
        for day in range(2):
            dataset.append(rows(2, day, 1.0))
            dataset.append(rows(LARGE, day, 1.0))
        pins.append(dataset.pin("2024-08-08", "2024-08-09"))
        if life == 1:
            opened("operations").derived[key].purge("2024-08-08", reason="licence ended")
        if life < 2:
            analysis.derived.delete(key, reason="r")
        for pin in pins[:2] if life else []:
            forget_indexes()
            with pytest.raises(Purged, match="licence ended"):
                opened("analysis").read(pin)
    assert opened("analysis").read(pins[2]).row_count == LARGE + 2
    found = opened("operations").derived[key]
    assert found.verify(deep=True) == []
    assert found.purge("2024-08-08", reason="again").windows[0].rows == LARGE + 2
    assert found.purge("2024-08-08", reason="again").version is None


def everything(storage: MemoryStorage, prefix: str = "") -> dict[str, bytes]:
    listing = storage.list(prefix)
    head = f"{prefix}/" if prefix else ""
    found = {head + name: storage.get(head + name) for name in listing.objects}
    for name in listing.prefixes:
        found |= everything(storage, head + name)
    return found


def test_not_a_byte_of_them_is_left(opened: Opened) -> None:
    dataset = licensed(opened)
    storage = dataset._log.storage
    assert isinstance(storage, MemoryStorage)
    secret = np.float64(SECRET).tobytes()
    holding = [key for key, data in everything(storage).items() if secret in data or LABEL.encode() in data]
    assert len(holding) >= 4
    maintained(opened).purge("2024-08-08", reason="licence ended")
    left = [key for key, data in everything(storage).items() if secret in data or LABEL.encode() in data]
    assert left == []
    assert not [key for key in everything(storage) if "/2024-08-08/" in key]


def test_what_is_purged_stays_so_under_all_other_maintenance(opened: Opened) -> None:
    dataset = licensed(opened)
    maintained(opened).purge("2024-08-08", reason="licence ended")
    maintained(opened).compact()
    store = opened("operations")
    store.gc("canonical", grace="0s", dry_run=False)
    with pytest.raises(Purged):
        read(dataset.at(6), 0)
    store.expire("canonical", keep_versions=2, delay="0s", dry_run=False)
    store.gc("canonical", grace="0s", dry_run=False)
    assert not maintained(opened).verify(deep=True)
    assert len(read(maintained(opened), 1)) == LARGE + 2


def test_a_purged_window_can_be_filled_again_and_purged_again(opened: Opened) -> None:
    dataset = licensed(opened)
    maintained(opened).purge("2024-08-08", reason="licence ended")
    with pytest.raises(WindowClosed, match="purged: licence ended"):
        dataset.append(rows(3, 0, 5.0))
    dataset.append(rows(3, 0, 5.0), reopen=True)
    dataset.append(rows(LARGE, 0, 6.0))
    assert len(read(maintained(opened), 0)) == LARGE + 3
    assert not maintained(opened).verify(deep=True)
    assert maintained(opened).purge("2024-08-08", reason="again").windows[0].rows == LARGE + 3
    assert read(maintained(opened), 0) == []
    for version in (6, dataset.refresh().version - 1):
        with pytest.raises(Purged, match="again"):
            read(dataset.at(version), 0)
    assert not maintained(opened).verify(deep=True)


def test_old_windows_are_purged_by_age(opened: Opened) -> None:
    made(opened).append(spread(10, days=4))
    done = opened("operations").purge("canonical", before="2024-08-10", reason="old")["canonical/venue/trades/X"]
    assert [each.window for each in done.windows] == ["2024-08-08", "2024-08-09"]
    assert done.version is None
    assert len(values(maintained(opened))) == 40, "a look changes nothing"
    opened("operations").purge("canonical", before="2024-08-10", reason="old", dry_run=False)
    assert len(values(maintained(opened))) == 20
    again = opened("operations").purge("canonical", before="2024-08-10", reason="old", dry_run=False)["canonical/venue/trades/X"]
    assert again.version is None, "nothing left to say"


def test_only_operations_purges_and_says_why(opened: Opened) -> None:
    dataset = licensed(opened)
    with pytest.raises(AccessDenied, match="data-quality may not purge canonical"):
        dataset.purge("2024-08-08", reason="r")
    found = maintained(opened)
    with pytest.raises(InvalidInput, match="reason"):
        found.purge("2024-08-08", reason="")
    for wrong in ({}, {"window": "2024-08-08", "before": "2024-09-01"}):
        with pytest.raises(InvalidInput, match="one of the two"):
            found.purge(**wrong, reason="r")
    with pytest.raises(NotFound):
        found.purge("2025-01-01", reason="r")
    with pytest.raises(InvalidInput, match="what purges write"):
        dataset.update(attributes={"purged": {}})
    assert len(read(found, 0)) == LARGE + 5


def test_a_writer_who_was_about_to_add_to_it_writes_again(opened: Opened) -> None:
    dataset = licensed(opened)
    true, once = Writer._write, []

    def late(self: Writer, *args: Any) -> Any:
        result = true(self, *args)
        if not once:
            once.append(None)
            maintained(opened).purge("2024-08-08", reason="licence ended")
        return result

    with mock.patch.object(Writer, "_write", late), pytest.raises(WindowClosed, match="purged"):
        dataset.append(rows(LARGE, 0, SECRET))
    with mock.patch.object(Writer, "_write", late):
        once.clear()
        dataset.append(rows(LARGE, 1, 3.0))
    assert len(read(maintained(opened), 1)) == 2 * LARGE + 2
    assert not maintained(opened).verify(deep=True)


def test_what_redacted_commits_say_is_held_to_the_purge(opened: Opened) -> None:
    dataset = licensed(opened)
    maintained(opened).purge("2024-08-08", reason="licence ended")
    storage, key = dataset._log.storage, f"{dataset._log.prefix}/_log/00000000000000000005"
    good = storage.get(key)
    for forged in (good.replace(b'"role":"data-quality"', b'"role":"data-qualitx"'), good):
        line, _, rest = forged.partition(b"\n")
        head, body = int(line.split()[4]), int(line.split()[5])
        data, _ = encode_record("redacted", msgspec.Raw(rest[:head]), [rest[head : head + body]])
        storage.put(key, data, durable=True)
        problems = [finding.problem for finding in opened("analysis").canonical[KEY].verify()]
        assert bool(problems) == (forged is not good), problems
    assert redact(good, {"2024-08-08"}, key) is None


def test_a_purged_dataset_is_copied_as_it_is(opened: Opened, tmp_path: Path) -> None:
    licensed(opened)
    maintained(opened).purge("2024-08-08", reason="licence ended")
    done = opened("operations").copy(tmp_path / "copy")
    assert not done.problems
    found = arraystore.open_store(tmp_path / "copy", role="operations").canonical[KEY]
    assert len(read(found, 1)) == LARGE + 2
    with pytest.raises(Purged):
        read(found.at(6), 0)
    assert not found.verify(deep=True)


def test_a_purge_that_is_cut_anywhere_goes_on_and_an_acknowledged_one_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.maintenance.test_purge.LARGE", 100)
    monkeypatch.setattr("arraystore.datasets.writer.TAIL_BYTES", 600)
    prepared = Disk()

    def on(disk: Disk) -> Opened:
        return lambda role: arraystore.open_store("memory://machine", role=role, create=True, opener=disk.opener)

    licensed(on(prepared))
    secret = np.float64(SECRET).tobytes()
    number, acknowledged = 0, False
    while not acknowledged:
        number += 1
        disk = prepared.copy()
        disk.cut_before = number
        try:
            maintained(on(disk)).purge("2024-08-08", reason="licence ended")
            acknowledged = True
        except PowerCutError:
            pass
        for fate in dict.fromkeys((FATES[0], FATES[number % len(FATES)])):  # each fate at some cuts, the worst at all
            up = disk.after_cut(fate)
            again = maintained(on(up))
            assert len(read(again, 1)) == LARGE + 2
            if again.version == 6:
                assert len(read(again, 0)) == LARGE + 5, "not begun yet"
                assert not acknowledged
            forget_indexes()
            if not acknowledged:
                again.purge("2024-08-08", reason="licence ended")
            assert not [path for path, data in up.live.items() if secret in data], (number, fate.__name__)
            assert read(maintained(on(up)), 0) == []
            with pytest.raises(Purged):
                read(maintained(on(up)).at(6), 0)
            assert not maintained(on(up)).verify()
    assert number > 20


@pytest.mark.parametrize("count", [3, LARGE], ids=["tail", "segment"])
def test_rows_that_came_between_two_purges_go_though_they_were_withdrawn(opened: Opened, count: int) -> None:
    dataset = opened("data-quality").canonical.create(KEY, schema())
    dataset.append(rows(count, 0, SECRET, LABEL))
    maintained(opened).purge("2024-08-08", reason="licence ended")
    dataset.append(rows(count, 0, SECRET, LABEL), reopen=True)
    dataset.withdraw("2024-08-08", reason="bad")
    done = maintained(opened).purge("2024-08-08", reason="again")
    assert (done.version, done.windows[0].rows, done.windows[0].segments) == (6, 0, int(count == LARGE))
    with pytest.raises(Purged, match="again"):
        read(dataset.at(4), 0)
    storage = dataset._log.storage
    assert isinstance(storage, MemoryStorage)
    assert not [key for key, data in everything(storage).items() if LABEL.encode() in data]
    assert maintained(opened).verify(deep=True) == []
    assert maintained(opened).purge("2024-08-08", reason="once more").version is None


def test_rows_of_a_dataset_that_was_deleted_go(opened: Opened) -> None:
    analysis, key = opened("analysis"), ("product", "variant", "venue", "X")
    dataset = analysis.derived.create(key, schema())
    dataset.append(rows(LARGE, 0, SECRET, LABEL))
    dataset.append(rows(3, 0, SECRET, LABEL))
    dataset.append(rows(3, 1, 7.0, "kept"))
    pin = dataset.pin("2024-08-08", "2024-08-09")
    other = dataset.pin("2024-08-09", "2024-08-10")
    storage = dataset._log.storage
    assert isinstance(storage, MemoryStorage)
    analysis.derived.delete(key, reason="licence ended")
    store = opened("operations")
    told = store.purge("derived", windows="2024-08-08", reason="licence ended")["derived/product/variant/venue/X"]
    assert (told.version, [(each.window, each.rows, each.segments, each.commits) for each in told.windows]) == (
        None,
        [("2024-08-08", LARGE + 3, 1, 1)],
    )
    assert store.read(pin).row_count == LARGE + 3, "a look changes nothing"
    done = store.purge("derived", windows="2024-08-08", reason="licence ended", dry_run=False)["derived/product/variant/venue/X"]
    assert (done.version, done.windows) == (6, told.windows)
    assert not [name for name, data in everything(storage).items() if LABEL.encode() in data or np.float64(SECRET).tobytes() in data]
    forget_indexes()
    with pytest.raises(Purged, match=r"window 2024-08-08 was purged in version 6 .* licence ended"):
        opened("operations").read(pin)
    assert opened("operations").read(other)["size"].tolist() == [7.0] * 3
    again = store.purge("derived", before="2024-08-09", reason="more", dry_run=False)["derived/product/variant/venue/X"]
    assert again.version is None
    rest = store.purge("derived", windows="*", reason="all of it", dry_run=False)["derived/product/variant/venue/X"]
    assert (rest.version, [(each.window, each.rows) for each in rest.windows]) == (7, [("2024-08-08", 0), ("2024-08-09", 3)])
    with pytest.raises(Purged, match="all of it"):
        opened("operations").read(other)
    assert store.verify(deep=True).findings == ()
    made = analysis.derived.create(key, schema())
    assert (made.version, made.windows(), sorted(made.attributes["purged"])) == (8, (), ["2024-08-08", "2024-08-09"])
    made.append(rows(3, 0, 5.0))
    assert made.read()["size"].tolist() == [5.0] * 3
    with pytest.raises(Purged):
        opened("operations").read(pin)
    assert store.verify(deep=True).findings == ()


def test_age_reaches_what_was_withdrawn_and_what_only_earlier_datasets_had(opened: Opened) -> None:
    analysis, key = opened("analysis"), ("product", "variant", "venue", "X")
    earlier = analysis.derived.create(key, schema())
    earlier.append(rows(3, 0, 1.0))
    pins = [earlier.pin()]
    analysis.derived.delete(key, reason="r")
    dataset = analysis.derived.create(key, schema())
    dataset.append(rows(LARGE, 1, 1.0))
    pins.append(dataset.pin())
    dataset.withdraw("2024-08-09", reason="bad")
    dataset.append(rows(3, 3, 1.0))
    dataset.append({name: [] for name in ("time", "size", "name")}, coverage=[("2024-08-10", "2024-08-11")])
    done = opened("operations").derived[key].purge(before="2024-08-11", reason="old")
    assert [(each.window, each.rows) for each in done.windows] == [("2024-08-08", 0), ("2024-08-09", 0)]
    for pin in pins:
        with pytest.raises(Purged, match="old"):
            opened("operations").read(pin)
    assert opened("operations").derived[key].purge("*", reason="all").version == dataset.refresh().version
    assert dataset.refresh().read()["size"].tolist() == []
    with pytest.raises(InvalidInput, match="one of the two"):
        opened("operations").purge("derived", reason="r")
