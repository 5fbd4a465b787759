"""Appenders and followers work on every kind of storage, and each as its own role."""

import pytest

import arraystore
from arraystore.errors import AccessDenied
from tests.store.conftest import OpenAs, open_as, rows

__all__ = ["open_as"]

KEY = ("venue", "trades", "X")


def test_what_an_appender_commits_a_follower_is_told(open_as: OpenAs) -> None:
    dataset = open_as("data-quality").canonical.create(KEY, arraystore.schema_by_name("trades"))
    follower = open_as("live").canonical[KEY].follow(timeout=0)
    with dataset.appender(max_rows=50, writer="recorder") as appender:
        for number in range(0, 600, 5):
            appender.append(rows(5, first=number))
    told = [int(size) for update in follower for size in update.frame["size"]]
    assert told == list(range(600))
    assert dataset.read()["size"].tolist() == told
    with open_as("data-quality").canonical[KEY].appender(writer="recorder") as again:
        again.append(rows(1, first=600))
    assert [update.row_count for update in follower] == [1]


def test_who_may_not_write_gets_no_appender_and_who_may_not_read_no_follower(open_as: OpenAs) -> None:
    open_as("data-quality").canonical.create(KEY, arraystore.schema_by_name("trades"))
    with pytest.raises(AccessDenied):
        open_as("analysis").canonical[KEY].appender()  # type: ignore[attr-defined]
    with pytest.raises(AccessDenied):
        open_as("data-recording").canonical[KEY].follow()
