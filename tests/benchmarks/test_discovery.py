"""The case runs, small: each question finds what was built, first and again."""

from benchmarks import discovery


def test_every_question_finds_what_is_there() -> None:
    measured = {each.contestant: each for each in discovery.run(small=True)}
    datasets, runs, changed = discovery.SMALL
    assert measured["find, all"].found == measured["os.scandir of the folders, names only"].found == datasets
    assert measured["find, schema"].found == datasets // 2
    assert measured["find, venue"].found == datasets // 5
    assert measured["find, span"].found == datasets // 20
    assert measured["changes since"].found == measured["changes since, reconciled"].found == changed
    assert measured["dependents of a day"].found == runs // 20
    assert measured["dependents of all days"].found == runs
    assert all(each.first > 0 for each in measured.values())
