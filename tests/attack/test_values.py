"""Whatever is written reads back bit for bit: as tails, as segments, after folding, after a replace, at every version."""

import uuid
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import arraystore
from arraystore import Column, Kind, Schema
from arraystore.frames.intake import rows_from
from arraystore.frames.rows import Rows, concat, empty
from arraystore.testing.strategies import differences, rows_of, schemas, small_chunks
from tests.store.conftest import DAY, START, OpenAs

KEY = ("venue", "feed", "X")
INT64 = np.iinfo(np.int64)
FORMS = ("tail", "segment", "folded", "replaced", "completed")

EVERY_KIND = Schema(
    name="every_kind",
    order="arrival",
    columns=(
        Column(name="time", kind=Kind.TIME),
        Column(name="f8"),
        Column(name="f4", dtype="float32", nullable=True),
        Column(name="i8", dtype="int64"),
        Column(name="u8", dtype="uint64"),
        Column(name="flag", dtype="bool"),
        Column(name="levels", levels=3),
        Column(name="other_time", kind=Kind.TIME, clock="exchange", nullable=True),
        Column(name="side", kind=Kind.VOCABULARY, vocabulary={"buy": 1, "sell": -1}),
        Column(name="bits", kind=Kind.FLAGS, vocabulary={"last": 128, "snapshot": 32}),
        Column(name="label", kind=Kind.DICTIONARY, nullable=True),
        Column(name="exact", kind=Kind.DECIMAL, places=8),
        Column(name="text", kind=Kind.TEXT, nullable=True),
        Column(name="payload", kind=Kind.BYTES),
        Column(name="absent", nullable=True),
    ),
)


def hard_values() -> dict[str, object]:
    """Six rows of everything that tends to get lost."""
    nans = np.array([0x7FF8000000000001, 0xFFF8DEADBEEF0000, 0x7FF0000000000001, 0x8000000000000000, 1, 0x7FF0000000000000], np.uint64)
    return {
        "time": START + np.array([5, 5, 0, 5, DAY - 1, 5]),  # repeated, and stepping back
        "f8": nans.view(np.float64),
        "f4": np.array([0x7FC00001, 0xFFC12345, 0x80000000, 1, 0x7F800000, 0], np.uint32).view(np.float32),
        "f4_valid": np.array([True, True, True, True, True, False]),
        "i8": np.array([INT64.min, INT64.max, 0, -1, 1, INT64.min + 1]),
        "u8": np.array([2**64 - 1, 0, 2**63, 1, 2**53 + 1, 7], np.uint64),
        "flag": np.array([True, False, True, True, False, False]),
        "levels": np.array([[1.0, -0.0, np.nan]] * 6),
        "other_time": np.array([INT64.max, INT64.min + 1, 0, -1, 5, 6]),
        "other_time_valid": np.array([True, True, True, True, True, False]),
        "side": np.array([1, -1, 1, -1, 1, -1], np.int8),
        "bits": np.array([0, 128, 32, 160, 0, 0], np.uint8),
        "label": ["", "BTC/USDT:USDT", None, "é", "🙂", ""],
        "exact": arraystore.Decimals(np.array([INT64.min, INT64.max, 0, -1, 1, 10**8]), 8),
        "text": ["", "two\nlines", None, "日本語", "\0", "=2E"],
        "payload": [b"", bytes(range(256)), b"\xff\xfe\x00", b"\xc3\x28", b"", b"\0"],
    }


def bits(frame: arraystore.Frame) -> dict[str, object]:
    """Every value as bytes or Python objects that tell NaN payloads and signed zeros apart."""
    told: dict[str, object] = {}
    for name in frame:
        value, valid = frame[name], frame.valid(name)
        plain = value.tobytes() if isinstance(value, np.ndarray) else value.tolist()
        told[name] = (plain, None if valid is None else valid.tolist())
    return told


def hard_rows() -> Rows:
    return rows_from(hard_values(), EVERY_KIND)


@pytest.mark.parametrize("profile", ["dense", "portable"])
@pytest.mark.parametrize("form", FORMS)
def test_every_kind_of_column_reads_back_bit_for_bit_in_every_form(open_as: OpenAs, form: str, profile: str) -> None:
    dataset = open_as("data-quality").canonical.create(KEY, EVERY_KIND, profile=profile)
    values = hard_values()
    if form == "replaced":
        dataset.append(values)
        dataset.replace("2024-08-08", values, reason="the same again")
    elif form == "folded":
        with mock.patch("arraystore.datasets.writer.TAIL_COUNT", 4):
            for row in range(6):
                dataset.append(arraystore.Frame(hard_rows().slice(row, row + 1)))
    else:
        with mock.patch("arraystore.datasets.writer.TAIL_BYTES", -1 if form == "segment" else 1 << 20):
            dataset.append(values, completeness="complete" if form == "completed" else None)
    held = {bool(entry.segment) for entry in dataset.manifest("2024-08-08").segments}
    assert held == {"tail": {False}, "folded": {True, False}}.get(form, {True})
    frame = open_as("analysis").canonical[KEY].read()
    assert bits(frame) == bits(arraystore.Frame(hard_rows()))
    assert np.asarray(frame["f8"]).tobytes() == np.asarray(values["f8"]).tobytes()
    assert np.asarray(frame["i8"]).tolist() == np.asarray(values["i8"]).tolist()
    assert frame["payload"].tolist() == values["payload"]
    assert frame["text"].tolist() == values["text"]
    assert frame["label"].tolist() == values["label"]
    assert not dataset.verify(deep=True)


def test_sixteen_megabyte_payloads_read_back(tmp_path: Path) -> None:
    schema = Schema(name="blobs", columns=(Column(name="time", kind=Kind.TIME), Column(name="payload", kind=Kind.BYTES)))
    dataset = arraystore.open_store(tmp_path / "store", role="data-quality", create=True).canonical.create(KEY, schema)
    random = np.random.default_rng(7)
    payloads = [b"", random.bytes(1 << 20) + bytes(15 << 20), b"\xff", bytes(16 << 20) + b"!", b""]
    dataset.append({"time": START + np.arange(5), "payload": payloads})
    frame = arraystore.open_store(tmp_path / "store", role="analysis").canonical[KEY].read()
    assert frame["payload"].tolist() == payloads
    assert dataset.read(START + 3, START + 4)["payload"].tolist() == payloads[3:4]


def test_appends_of_nothing_change_nothing(open_as: OpenAs) -> None:
    dataset = open_as("data-quality").canonical.create(KEY, EVERY_KIND)
    for nothing in (None, {}, {"time": []}, arraystore.Frame(empty(EVERY_KIND)), {"time": np.zeros(0, "datetime64[ns]"), "text": []}):
        assert dataset.append(nothing).version == 1
    frame = dataset.read()
    assert frame.row_count == 0
    assert list(frame) == list(EVERY_KIND.names)


def in_reading_order(parts: Sequence[Rows], schema: Schema) -> Rows:
    """What a dataset holds after these appends: windows in time order, rows within as the schema's order says."""
    rows = concat([empty(schema), *parts])
    times = rows.arrays["time"]
    return rows.take(np.argsort(times if schema.order == "time" else times // DAY, kind="stable"))


@st.composite
def histories(draw: st.DrawFn) -> tuple[Schema, list[Rows]]:
    schema = draw(schemas())
    parts = [draw(rows_of(schema, most=draw(st.sampled_from((1, 20, 300))))) for _ in range(draw(st.integers(1, 5)))]
    for part in parts:
        if part.count:
            part.arrays["time"] += draw(st.sampled_from((0, 0, DAY, 40 * DAY)))
    return schema, parts


def check_history(dataset: arraystore.Dataset, reader: arraystore.Surface, schema: Schema, parts: Sequence[Rows]) -> None:
    done: list[Rows] = []
    versions: dict[int, Rows] = {1: empty(schema)}
    for part in parts:
        version = dataset.append(arraystore.Frame(part)).version
        done += [part] if part.count else []
        versions[version] = in_reading_order(done, schema)
    for version, rows in versions.items():
        assert not differences(reader[KEY].at(version).read().rows, rows), version
    newest = versions[max(versions)]
    for window in dataset.windows():
        dataset.update(window=window, completeness="complete")
    assert not differences(reader[KEY].read().rows, newest)
    for window in dataset.windows():
        dataset.replace(window, reader[KEY].read(window=window), reason="as it is")
    assert not differences(reader[KEY].read().rows, newest)
    assert not dataset.verify(deep=True)


LIMITS = st.tuples(
    st.sampled_from((-1, 300, 1 << 17)), st.sampled_from((2, 3, 256)), st.sampled_from(((64, 64, 256), (1 << 18, 1 << 20, 1 << 28)))
)


@given(histories(), LIMITS)
@settings(max_examples=40)
def test_any_history_of_any_schema_reads_back_at_every_version(
    history: tuple[Schema, list[Rows]], limits: tuple[int, int, tuple[int, int, int]]
) -> None:
    tail_bytes, tail_count, budgets = limits
    url = f"memory://{uuid.uuid4().hex}"
    with mock.patch.multiple("arraystore.datasets.writer", TAIL_BYTES=tail_bytes, TAIL_COUNT=tail_count), small_chunks(*budgets):
        dataset = arraystore.open_store(url, role="data-quality", create=True).canonical.create(KEY, history[0])
        check_history(dataset, arraystore.open_store(url, role="analysis").canonical, *history)


@given(histories(), LIMITS)
@settings(max_examples=8)
def test_any_history_reads_back_from_disk(history: tuple[Schema, list[Rows]], limits: tuple[int, int, tuple[int, int, int]]) -> None:
    tail_bytes, tail_count, budgets = limits
    with (
        TemporaryDirectory() as url,
        mock.patch.multiple("arraystore.datasets.writer", TAIL_BYTES=tail_bytes, TAIL_COUNT=tail_count),
        small_chunks(*budgets),
    ):
        dataset = arraystore.open_store(url, role="data-quality", create=True).canonical.create(KEY, history[0])
        check_history(dataset, arraystore.open_store(url, role="analysis").canonical, *history)
