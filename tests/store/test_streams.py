"""A stream of batches becomes one commit, whatever its size, or nothing."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import arraystore
from tests.store.conftest import DAY, START, OpenAs, rows

PIECE = 24_000  # bytes: a piece is a few batches
BATCH = 400
STEP = 150 * 10**9


def batches(count: int, first: int = 0) -> Iterator[dict[str, Any]]:
    for number in range(first, first + count):
        yield rows(BATCH, START, STEP, number * BATCH)


def quotes(open_as: OpenAs) -> arraystore.Dataset:
    return open_as("data-quality").canonical.create(("v", "trades", "X"), arraystore.schema_by_name("trades", clock="exchange"))


def test_a_stream_of_many_pieces_is_one_version_with_all_its_rows_in_order(open_as: OpenAs) -> None:
    dataset = quotes(open_as)
    receipt = dataset.append_stream(batches(9), piece_bytes=PIECE)
    assert (receipt.version, receipt.rows, receipt.windows[0]) == (2, 9 * BATCH, "2024-08-08")
    assert dataset.read()["size"].tolist() == list(range(9 * BATCH))
    assert len(dataset.manifest("2024-08-08").segments) >= 1
    assert dataset.verify(deep=True) == []


def test_a_stream_that_fits_into_one_piece_is_an_ordinary_append(open_as: OpenAs) -> None:
    dataset = quotes(open_as)
    dataset.append_stream([rows(2), rows(0), rows(1, START + DAY)])
    assert [dataset.manifest(window).segments[0].tail for window in dataset.windows()] == [2, 2]


def test_an_empty_stream_makes_no_version(open_as: OpenAs) -> None:
    dataset = quotes(open_as)
    assert dataset.append_stream(iter(())).version == dataset.version == 1


def test_a_streams_segments_take_the_tails_that_lie_before_them(open_as: OpenAs) -> None:
    dataset = quotes(open_as)
    dataset.append(rows(3, START + 5))
    dataset.append_stream(batches(4), piece_bytes=PIECE, completeness="complete")
    manifest = dataset.manifest("2024-08-08")
    assert (manifest.completeness, [entry.tail for entry in manifest.segments if entry.tail]) == ("complete", [])
    times = dataset.read()["time"]
    assert len(times) == 3 + 4 * BATCH
    assert (np.diff(times.view(np.int64)) >= 0).all()
    assert dataset.verify(deep=True) == []


def test_rows_that_others_append_while_a_stream_is_written_stay(open_as: OpenAs) -> None:
    dataset, other = quotes(open_as), open_as("data-quality").canonical["v/trades/X"]

    def interrupted() -> Iterator[dict[str, Any]]:
        for number, batch in enumerate(batches(6)):
            if number == 5:
                other.append(rows(7, START + 1))
            yield batch

    dataset.append_stream(interrupted(), piece_bytes=PIECE)
    assert dataset.version == 3
    assert len(dataset.read()["time"]) == 7 + 6 * BATCH
    assert dataset.verify(deep=True) == []


def test_a_stream_that_raises_leaves_nothing(open_as: OpenAs) -> None:
    dataset = quotes(open_as)

    def broken() -> Iterator[dict[str, Any]]:
        yield from batches(5)
        msg = "the source is gone"
        raise RuntimeError(msg)

    with pytest.raises(RuntimeError, match="the source is gone"):
        dataset.append_stream(broken(), piece_bytes=PIECE)
    assert dataset.refresh().version == 1
    assert dataset.windows() == ()


def test_a_bad_batch_is_refused_and_leaves_nothing(open_as: OpenAs) -> None:
    dataset = quotes(open_as)
    bad = rows(1, START + 100 * DAY) | {"side": np.array([5], np.int8)}
    with pytest.raises(arraystore.InvalidInput, match="the code 5"):
        dataset.append_stream([*batches(5), bad], piece_bytes=PIECE)
    assert dataset.refresh().version == 1


def test_batches_of_a_time_ordered_stream_must_follow_each_other(open_as: OpenAs) -> None:
    dataset = quotes(open_as)
    with pytest.raises(arraystore.InvalidInput, match="batch 1 begins at 2024-08-08T00:00:00Z, before 2024-08-09"):
        dataset.append_stream([rows(1, START + DAY), rows(1)])
    assert dataset.refresh().version == 1


def test_a_token_makes_a_repeated_stream_harmless_and_takes_nothing_of_it(open_as: OpenAs) -> None:
    dataset = quotes(open_as)
    first = dataset.append_stream(batches(4), token=("backfill", 1), piece_bytes=PIECE)
    again = dataset.append_stream(iter(lambda: 1 / 0, None), token=("backfill", 1))
    assert (again.version, again.repeated) == (first.version, True)
    assert dataset.token_version("backfill") == (1, 2)
    assert dataset.token_version("another") is None


def test_a_complete_window_is_refused_unless_reopened(open_as: OpenAs) -> None:
    dataset = quotes(open_as)
    dataset.append(rows(1), completeness="complete")
    with pytest.raises(arraystore.WindowClosed):
        dataset.append_stream(batches(4), piece_bytes=PIECE)
    dataset.append_stream(batches(4), piece_bytes=PIECE, reopen=True)
    assert dataset.manifest("2024-08-08").completeness == "open"


def test_who_may_not_write_streams_nothing(open_as: OpenAs) -> None:
    quotes(open_as)
    with pytest.raises(arraystore.AccessDenied):
        open_as("analysis").canonical["v/trades/X"].append_stream(batches(1))
