"""The case runs, small: its contestants load the same rows."""

from benchmarks import ingest


def test_every_contestant_loads_the_same_rows() -> None:
    measured = ingest.run(small=True)
    assert len(measured) == 3
    assert len({each.rows for each in measured}) == 1
    assert all(each.seconds > 0 for each in measured)
