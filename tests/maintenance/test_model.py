"""Whatever is appended, corrected, compacted, expired and collected, in any order: what must be readable reads as it did."""

import uuid
from typing import Any
from unittest import mock

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import arraystore
from arraystore.errors import VersionExpired
from arraystore.frames.intake import rows_from
from arraystore.segments.segment import write_segments
from arraystore.upkeep.packing import Packing
from tests.maintenance.conftest import KEY, plain, schema_of, values
from tests.store.conftest import DAY, START

WINDOWS = ("2024-08-08", "2024-08-09")


class Maintained(RuleBasedStateMachine):
    """A dataset, and beside it what each of its versions holds."""

    order = "arrival"

    @initialize()
    def make(self) -> None:
        self.url = f"memory://{uuid.uuid4().hex}"
        self.dataset = self.open("data-quality").canonical.create(KEY, schema_of(self.order))
        self.other = self.open("data-quality").canonical.create((*KEY[:2], "Y"), schema_of())
        self.held: dict[int, list[tuple[int, float]]] = {1: []}
        self.pinned: list[arraystore.Pin] = []
        self.floor = self.count = 0

    def open(self, role: str) -> arraystore.Store:
        return arraystore.open_store(self.url, role=role, create=True)

    def saw(self, dataset: arraystore.DatasetView, change: Any = None) -> None:
        """Note what the newest version holds, which is what the one before held, changed."""
        before = dict(list(self.held.items())[-1:])
        rows = next(iter(before.values()))
        found = values(self.open("operations").canonical[KEY])
        if change is None:
            assert found == rows
        else:
            wanted = change(rows)
            assert sorted(found) == sorted(wanted)
            if self.order == "arrival":
                assert sorted(found, key=lambda row: row[0] >= START + DAY) == found
        for version in range(max(self.held) + 1, self.open("operations").canonical[KEY].version + 1):
            self.held[version] = found

    @rule(count=st.integers(1, 4), day=st.integers(0, 1), as_segment=st.booleans())
    def append(self, count: int, day: int, as_segment: bool) -> None:
        self.count += 10
        rows = plain(count, self.count, START + day * DAY, 0 if self.order == "time" else 1)
        with mock.patch("arraystore.datasets.writer.TAIL_BYTES", 0 if as_segment else 1 << 17):
            self.dataset.refresh().append(rows, reopen=True)
        self.saw(self.dataset, lambda before: before + list(zip(rows["time"].tolist(), rows["size"].tolist(), strict=True)))

    @rule(day=st.integers(0, 1), count=st.integers(0, 3))
    def replace(self, day: int, count: int) -> None:
        start = START + day * DAY
        if WINDOWS[day] not in self.dataset.refresh().windows():
            return
        self.count += 10
        rows = plain(count, self.count, start)
        self.dataset.replace(WINDOWS[day], rows, reason="r")
        new = list(zip(rows["time"].tolist(), rows["size"].tolist(), strict=True))
        self.saw(self.dataset, lambda before: [row for row in before if not start <= row[0] < start + DAY] + new)

    @rule()
    def keep_a_file(self) -> None:
        self.count += 1
        self.dataset.refresh().add_file(str(self.count).encode(), "file")
        self.saw(self.dataset)

    @rule(leave=st.sampled_from((None, 1_500)), tiered=st.booleans())
    def compact(self, leave: int | None, tiered: bool) -> None:
        self.open("operations").canonical[KEY].compact(leave_bytes=leave, tiered=tiered)
        self.saw(self.dataset)

    @rule(back=st.integers(0, 3), tag=st.booleans())
    def pin(self, back: int, tag: bool) -> None:
        version = max(self.held) - back
        if version <= self.floor:
            return
        pin = self.dataset.refresh().at(version).pin()
        if tag:
            self.open("data-quality").tag("tagged", [pin])
        else:
            self.other.append(plain(1), inputs=pin)
        self.pinned.append(pin)

    @rule()
    def a_writer_dies(self) -> None:
        storage, state = self.dataset._log.storage, self.dataset._log.head()
        with storage.batch() as batch:
            rows = rows_from(plain(3), schema_of(self.order))
            write_segments(
                batch, f"{self.dataset._log.prefix}/{WINDOWS[0]}", rows, base_version=state.version, schema_number=0, profile="dense"
            )

    @rule(least=st.integers(2, 4))
    def pack(self, least: int) -> None:
        store = self.open("operations")
        address = "canonical/venue/trades/X"
        plan = store.pack("canonical", least=least)[address]
        done = store.pack("canonical", dry_run=False, least=least)[address]
        assert done == plan
        assert store.pack("canonical", least=least)[address] == Packing(packs=(), removed=0)
        self.saw(self.dataset)

    @rule(keep=st.integers(1, 3))
    def expire(self, keep: int) -> None:
        store = self.open("operations")
        head = store.canonical[KEY].version
        done = store.expire("canonical", keep_versions=keep, delay="0s", dry_run=False)
        self.floor = max(self.floor, head - keep)
        assert done["canonical/venue/trades/X"].step in {"publish", "nothing"}
        assert store.canonical[KEY]._log.floor() == max(self.floor, 0)

    @rule()
    def collect(self) -> None:
        store = self.open("operations")
        address = "canonical/venue/trades/X"
        plan = store.gc("canonical", grace="0s")[address]
        done = store.gc("canonical", grace="0s", dry_run=False)[address]
        assert done.items == plan.items
        self.saw(self.dataset)
        assert store.gc("canonical", grace="0s")[address].items == ()

    @invariant()
    def what_must_be_readable_reads_as_it_did(self) -> None:
        if not hasattr(self, "held"):
            return
        found = self.open("operations").canonical[KEY]
        assert values(found) == self.held[found.version]
        kept = {pin.version for pin in self.pinned}
        for version, rows in self.held.items():
            if version > self.floor or version in kept:
                assert values(found.at(version)) == rows, version
            else:
                with pytest.raises(VersionExpired, match="removed by retention"):
                    found.at(version)
        for pin in self.pinned:
            assert values(self.open("operations").open_pin(pin)) == self.held[pin.version]
        assert [version.number for version in found.versions()] == list(range(max(self.floor, 0) + 1, found.version + 1))
        assert found.verify(deep=True) == []


class MaintainedByTime(Maintained):
    """The same for rows that are merged by time; all of an append have the same one."""

    order = "time"


few = settings(max_examples=10, stateful_step_count=14, deadline=None)
TestMaintained = Maintained.TestCase
TestMaintained.settings = few
TestMaintainedByTime = MaintainedByTime.TestCase
TestMaintainedByTime.settings = few
