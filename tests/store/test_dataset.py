"""Append, read, replace and travel in time: the same on every storage."""

import numpy as np
import pytest

import arraystore
from tests.store.conftest import DAY, START, OpenAs, rows

KEY = ("venue", "trades", "BTC/USDT:USDT")


def new(open_as: OpenAs, profile: str = "dense") -> arraystore.Dataset:
    return open_as("data-quality").canonical.create(KEY, arraystore.schema_by_name("trades"), profile=profile)


def numbers(frame: arraystore.Frame) -> list[int]:
    return np.asarray(frame["size"]).astype(int).tolist()


@pytest.mark.parametrize("profile", ["dense", "portable"])
def test_one_append_is_one_commit_over_all_its_windows(open_as: OpenAs, profile: str) -> None:
    dataset = new(open_as, profile)
    data = rows(100_000, step=2 * 10**9)
    receipt = dataset.append(data)
    assert (receipt.version, receipt.rows, receipt.windows) == (2, 100_000, ("2024-08-08", "2024-08-09", "2024-08-10"))
    assert sum(manifest.rows for manifest in dataset.manifests()) == 100_000
    frame = open_as("analysis").canonical[KEY].read()
    for name, values in data.items():
        assert np.asarray(frame[name]).view(values.dtype).tobytes() == values.tobytes()


def test_a_time_range_is_half_open_and_cuts_exactly(open_as: OpenAs) -> None:
    dataset = new(open_as)
    dataset.append(rows(3_000))
    dataset.append(rows(50, first=3_000))
    assert numbers(dataset.read(START + 10 * 10**9, START + 13 * 10**9)) == [10, 11, 12]
    assert numbers(dataset.read(START + 2_999 * 10**9, START + 3_001 * 10**9)) == [2_999, 3_000]
    assert numbers(dataset.read("2024-08-08T00:00:01", "2024-08-08T00:00:01.000000001")) == [1]
    assert numbers(dataset.read(START + 10**6 * 10**9)) == []
    with pytest.raises(arraystore.InvalidInput, match="after end"):
        dataset.read(5, 4)


def test_small_appends_are_folded_and_read_in_order_all_the_while(open_as: OpenAs) -> None:
    dataset = new(open_as)
    for number in range(300):
        dataset.append(rows(1, first=number))
    manifest = dataset.manifest("2024-08-08")
    assert len(manifest.segments) == 45, "256 tails became one segment, 44 follow"
    assert numbers(dataset.read()) == list(range(300))
    dataset.append(None, coverage=("2024-08-08", "2024-08-09"), completeness="complete")
    assert all(entry.segment for entry in dataset.manifest("2024-08-08").segments), "a complete window is columnar"
    assert numbers(open_as("live").canonical[KEY].read()) == list(range(300))
    assert not dataset.verify(deep=True)


def test_a_large_append_takes_the_tails_before_it_along(open_as: OpenAs) -> None:
    dataset = new(open_as)
    for number in range(5):
        dataset.append(rows(1, first=number))
    dataset.append(rows(20_000, step=10**6, first=5))
    assert len(dataset.manifest("2024-08-08").segments) == 1
    assert numbers(dataset.read()) == list(range(20_005))


def test_a_complete_window_says_no_unless_reopened(open_as: OpenAs) -> None:
    dataset = new(open_as)
    dataset.append(rows(10), completeness="complete", coverage=("2024-08-08", "2024-08-09"))
    with pytest.raises(arraystore.WindowClosed, match="reopen=True"):
        dataset.append(rows(1, first=10))
    assert dataset.version == 2
    dataset.append(rows(1, first=10), reopen=True)
    assert dataset.manifest("2024-08-08").completeness == "open"
    assert numbers(dataset.read()) == list(range(11))


def test_a_day_without_data_is_a_complete_window_of_no_rows(open_as: OpenAs) -> None:
    dataset = new(open_as)
    dataset.append({}, coverage=[("2024-08-08", "2024-08-10")], completeness="complete")
    assert [(m.window, m.rows, m.completeness, m.coverage) for m in dataset.manifests()] == [
        ("2024-08-08", 0, "complete", ((START, START + DAY),)),
        ("2024-08-09", 0, "complete", ((START + DAY, START + 2 * DAY),)),
    ]
    assert numbers(dataset.read()) == []


def test_a_correction_is_a_new_version_and_pins_read_the_old_bytes(open_as: OpenAs) -> None:
    dataset = new(open_as)
    dataset.append(rows(1_000), completeness="complete", coverage=("2024-08-08", "2024-08-09"))
    pin = open_as("backtesting").canonical[KEY].pin(columns=["size"])
    dataset.replace("2024-08-08", rows(3, first=500), reason="the venue busted the rest")
    assert numbers(dataset.read()) == [500, 501, 502]
    reader = open_as("backtesting")
    assert numbers(reader.read(pin)) == list(range(1_000))
    assert numbers(reader.canonical[KEY].at(2).read()) == list(range(1_000))
    assert reader.canonical[KEY].versions()[-1].reason == "the venue busted the rest"


def test_a_correction_of_what_changed_meanwhile_is_refused(open_as: OpenAs) -> None:
    dataset = new(open_as)
    dataset.append(rows(10))
    other = open_as("data-quality").canonical[KEY]
    other.append(rows(1, first=10))
    with pytest.raises(arraystore.Conflict, match="refresh"):
        dataset.replace("2024-08-08", rows(2), reason="stale")
    assert numbers(dataset.refresh().read()) == list(range(11))
    dataset.replace("2024-08-08", rows(2), reason="fresh")
    assert numbers(dataset.read()) == [0, 1]


def test_a_correction_must_stay_in_its_window(open_as: OpenAs) -> None:
    dataset = new(open_as)
    dataset.append(rows(10))
    with pytest.raises(arraystore.InvalidInput, match="outside of window 2024-08-08"):
        dataset.replace("2024-08-08", rows(10, start=START + DAY - 5 * 10**9), reason="too wide")
    assert dataset.refresh().version == 2


def test_a_view_at_a_time_or_version_reads_what_was_there(open_as: OpenAs) -> None:
    dataset = new(open_as)
    for number in range(5):
        dataset.append(rows(1, first=number))
    times = [version.time for version in dataset.versions()]
    assert [len(numbers(dataset.at(version).read())) for version in range(1, 7)] == [0, 1, 2, 3, 4, 5]
    assert dataset.at(np.datetime64(times[3], "ns")).version >= 4
    assert not hasattr(dataset.at(3), "append")
    with pytest.raises(arraystore.NotFound, match="no version 99"):
        dataset.at(99)
    with pytest.raises(arraystore.InvalidInput, match="count from 1"):
        dataset.at(0)


def test_a_token_adds_once(open_as: OpenAs) -> None:
    dataset = new(open_as)
    first = dataset.append(rows(3), token=("recorder-1", 7))
    again = open_as("data-quality").canonical[KEY].append(rows(3), token=("recorder-1", 7))
    assert (again.version, again.pin, again.repeated) == (first.version, first.pin, True)
    assert not first.repeated
    with pytest.raises(arraystore.InvalidInput, match="behind"):
        dataset.append(rows(3), token=("recorder-1", 6))
    assert dataset.append(rows(3, first=3), token=("recorder-1", 8)).version == 3
    assert numbers(dataset.read()) == list(range(6))


def test_a_token_is_remembered_past_checkpoints(open_as: OpenAs) -> None:
    dataset = new(open_as)
    first = dataset.append(rows(1), token=("loader", 1))
    for number in range(1, 300):
        dataset.append(rows(1, first=number), token=("recorder", number))
    assert dataset.append(rows(1), token=("loader", 1)).version == first.version
    assert open_as("data-quality").canonical[KEY].append(rows(1), token=("recorder", 299)).version == 301


def test_time_order_is_the_stable_merge_by_time_across_appends(open_as: OpenAs) -> None:
    store = open_as("data-quality")
    dataset = store.canonical.create(("vendor", "trades", "X"), arraystore.SCHEMAS["trades"](clock="exchange"))
    dataset.append(rows(5_000, step=20 * 10**9))
    late = rows(5_000, step=20 * 10**9)
    late["size"] = late["size"] + 0.5
    dataset.append(late)
    dataset.append({name: values[:3] for name, values in late.items()})
    frame = dataset.read()
    times = np.asarray(frame["time"]).astype(np.int64)
    assert (np.diff(times) >= 0).all()
    assert np.asarray(frame["size"])[:8].tolist() == [0, 0.5, 0.5, 1, 1.5, 1.5, 2, 2.5]
    with pytest.raises(arraystore.InvalidInput, match="time"):
        dataset.append({name: values[::-1] for name, values in rows(3).items()})


def test_arrival_order_is_kept_though_the_clock_steps_back_across_midnight(open_as: OpenAs) -> None:
    dataset = new(open_as)
    data = rows(6)
    data["time"] = START + np.array([DAY - 2, DAY + 1, DAY - 1, DAY + 2, DAY + 2, DAY - 3])
    dataset.append(data)
    assert numbers(dataset.read(window="2024-08-08")) == [0, 2, 5]
    assert numbers(dataset.read(window="2024-08-09")) == [1, 3, 4]
    assert numbers(dataset.read(START + DAY - 2, START + DAY)) == [0, 2]


def test_columns_come_in_the_order_asked_for_and_unknown_ones_are_named(open_as: OpenAs) -> None:
    dataset = new(open_as)
    dataset.append(rows(3))
    assert list(dataset.read(columns=["size", "price"])) == ["size", "price"]
    with pytest.raises(arraystore.InvalidInput, match=r"pricee.*there are time"):
        dataset.read(columns=["pricee"])
    with pytest.raises(arraystore.InvalidInput, match="clocks are time"):
        dataset.read(1, 2, clock="price")
    with pytest.raises(KeyError, match="2024-08-08"):
        dataset.read(window="2024-08-09")


def test_lineage_is_kept_with_the_window_and_inputs_must_exist(open_as: OpenAs) -> None:
    recorder = open_as("data-recording")
    raw = recorder.raw.create(("venue", "all", "rec1"), arraystore.schema_by_name("raw_messages"))
    message = {"time": [START], "sequence": [1], "direction": ["recv"], "connection": ["c1"], "encoding": ["json"], "payload": [b"{}"]}
    receipt = raw.append(message)
    dataset = new(open_as)
    dataset.append(rows(3), inputs=[receipt.pin])
    assert dataset.manifest("2024-08-08").lineage == (receipt.pin,)
    forged = type(receipt.pin)(storage_class="raw", key=raw.key, dataset=raw.uuid, version=2, digest="0" * 64)
    with pytest.raises(arraystore.NotFound, match="the pin names"):
        dataset.append(rows(3), inputs=[forged])
    with pytest.raises(arraystore.InvalidInput, match="isn't a Pin"):
        dataset.append(rows(3), inputs=["raw"])  # type: ignore[list-item]
    assert dataset.refresh().version == 2


def test_files_beside_the_rows_are_versioned_like_rows(open_as: OpenAs) -> None:
    dataset = new(open_as)
    blob = np.random.default_rng(1).bytes(3_000_001)
    dataset.add_file(blob, "model.bin")
    dataset.add_file(b"", "empty")
    dataset.add_file(b"second", "model.bin")
    assert dataset.artifacts()["model.bin"].read() == b"second"
    first = dataset.at(2).artifacts()["model.bin"]
    assert first.read() == blob
    assert first.read_range(1_048_570, 2_097_160) == blob[1_048_570:2_097_160]
    assert dataset.artifacts()["empty"].read() == b""
    assert not dataset.verify(deep=True)


def test_datasets_are_found_made_once_and_listed(open_as: OpenAs) -> None:
    store = open_as("data-quality")
    schema = arraystore.schema_by_name("trades")
    keys = [("a", "trades", "X"), ("a", "trades", "Y/Z"), ("b", "quotes", "=%..é🙂")]
    for key in keys:
        store.canonical.create(key, schema)
    assert store.canonical.find() == sorted(keys) == list(store.canonical)
    assert store.canonical.find("a/trades/*") == keys[:2]
    assert ("a", "trades", "X") in store.canonical
    assert "a/trades/Q" not in store.canonical
    assert store.canonical["a/trades/Y=2FZ"].key == ("a", "trades", "Y/Z")
    with pytest.raises(arraystore.AlreadyExists, match="exist_ok"):
        store.canonical.create(keys[0], schema)
    assert store.canonical.create(keys[0], schema, exist_ok=True).version == 1
    with pytest.raises(arraystore.AlreadyExists, match="another schema"):
        store.canonical.create(keys[0], arraystore.schema_by_name("quotes"), exist_ok=True)
    with pytest.raises(KeyError):
        store.canonical["no/such/thing"]


def test_changes_are_told_once_each_from_any_cursor(open_as: OpenAs) -> None:
    store, reader = open_as("data-quality"), open_as("analysis")
    first = new(open_as)
    first.append(rows(3))
    seen = reader.canonical.changes()
    assert [(change.key, change.version, change.operation, change.windows) for change in seen] == [
        (KEY, 1, "create", ()),
        (KEY, 2, "append", ("2024-08-08",)),
    ]
    assert not list(reader.canonical.changes(seen.cursor))
    first.append(rows(3, first=3))
    second = store.canonical.create(("x", "y", "z"), arraystore.schema_by_name("quotes"))
    assert [(change.key, change.version) for change in reader.canonical.changes(seen.cursor)] == [(KEY, 3), (second.key, 1)]
    with pytest.raises(arraystore.InvalidInput, match="isn't a cursor"):
        reader.canonical.changes("yesterday")
    with pytest.raises(arraystore.InvalidInput, match="isn't a cursor"):
        reader.canonical.changes('{"a": 1}')
    with pytest.raises(arraystore.InvalidInput, match="is a cursor of derived, not of canonical"):
        reader.canonical.changes(open_as("analysis").derived.changes().cursor)
