"""The cases about appends run, small: every contestant holds the rows it was given."""

import importlib.util

import pytest

from benchmarks import append, checksums, growth, peers, recorder
from benchmarks.contestants import CONTESTANTS


def test_a_small_append_is_one_file_and_a_large_one_few() -> None:
    measured = {(each.data, each.contestant): each for each in append.run(small=True)}
    assert len(measured) == 6
    assert measured["10 rows × 8", "arraystore"].files <= 4
    assert measured["100,000 rows × 6", "arraystore"].files <= 2 * 6 + 5


def test_checkpoints_and_overhead_stay_small() -> None:
    measured = {each.contestant: each for each in growth.run(small=True)}
    assert measured["checkpoints of 250 commits, for each"].bytes <= 2_048
    assert measured["beyond the rows, after 60 appends"].bytes <= 8_192


def test_reading_with_and_without_checksums_reads_the_same_data() -> None:
    measured = checksums.run(small=True)
    assert len(measured) % 2 == 0
    assert all(each.decoded > 0 and each.ratio > 0 for each in measured)


def test_every_peer_that_is_installed_holds_all_rows() -> None:
    there = {each.contestant for each in peers.run(small=True)}
    assert there >= {"arraystore", "SQLite", "zarr", "Parquet"}
    for name, library in (("ArcticDB", "arcticdb"), ("Icechunk", "icechunk")):
        assert (name in there) == (importlib.util.find_spec(library) is not None)
    assert there <= set(CONTESTANTS)


def test_a_recorder_keeps_every_message() -> None:
    measured = recorder.run(small=True, seconds=0.6)
    assert measured[-1].messages == 1_200
    assert measured[-1].at_risk <= measured[-1].messages


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_minute_of_the_full_load_grows_nothing_but_what_was_recorded() -> None:
    measured = recorder.run(small=False, seconds=60)
    assert measured[-1].messages == 60 * 20_000
    assert measured[-1].memory_mib < 1.5 * measured[len(measured) // 3].memory_mib + 64
    assert measured[-1].ratio < 200
