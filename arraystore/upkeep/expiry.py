"""Which versions of a dataset expire, in two steps: mark them, and after a delay publish the floor below which they may be removed.

Between the steps everything still reads, and no new pin of a marked version is made; so whatever names one is found before the floor is
published, and stays readable below it. A clock chooses what is marked and when the delay is over; a mark from the future begins anew,
and what was marked by a clock that ran ahead isn't expired any more when the delay is over.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from arraystore.errors import NotFound, VersionExpired
from arraystore.versions import checkpoint
from arraystore.versions.floors import Floor, Mark
from arraystore.versions.log import Log
from layouts.retention import Retention
from layouts.times import format_time

type Pinned = Callable[[], Iterable[int]]  # versions that pins or tags name


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """What expiring did, or would do: `step` is `nothing`, `mark`, `wait` or `publish`.

    Versions up to `floor` are gone (before this step); up to `target` they are marked, or expire. `kept` are those of them that pins or
    tags name. `due` is when the mark's delay is over (ns since 1970 UTC).
    """

    step: str
    floor: int
    target: int
    kept: tuple[int, ...] = ()
    due: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, times as ISO-8601 UTC."""
        return {
            "step": self.step,
            "floor": self.floor,
            "target": self.target,
            "kept": list(self.kept),
            "due": None if self.due is None else format_time(self.due),
        }


class Expirer:
    """Expires versions of one dataset. Any number may run at once, and be killed anywhere: each step is whole or not there."""

    def __init__(
        self, log: Log, role: str, rule: Retention, pinned: Pinned, *, reason: str = "", clock: Callable[[], int] = time.time_ns
    ) -> None:
        self._log = log
        self._role = role
        self._rule = rule
        self._pinned = pinned
        self._reason = reason
        self._clock = clock
        self._standing: Mark | None = None  # what the last plan stood on

    def plan(self) -> Expiry:
        """The next step; changes nothing."""
        present, now = self._log.floor_record(), self._clock()
        self._standing = mark = present.mark
        if mark is not None and mark.time <= now:
            target = min(mark.floor, self._expired(msgspec.to_builtins(mark), now))
            if now - mark.time < self._rule.delay_ns:
                return self._told("wait", present, mark.floor, due=mark.time + self._rule.delay_ns)
            if target > present.floor:
                return self._told("publish", present, target)
        target = self._expired({"keep_versions": self._rule.keep_versions, "keep_ns": self._rule.keep_ns}, now)
        if target > present.floor:
            return self._told("mark", present, target, due=now + self._rule.delay_ns)
        return self._told("nothing", present, present.floor)

    def expire(self) -> Expiry:
        """Take the next step; with no delay, both."""
        with self._log.lock():
            done = self._step()
            return self._step() if done.step == "mark" and not self._rule.delay_ns else done

    def _step(self) -> Expiry:
        while True:
            plan = self.plan()
            try:
                if plan.step == "mark":
                    self._mark(plan)
                elif plan.step == "publish":
                    self._publish(plan)
            except VersionExpired:  # where nobody queues, another one may have come further meanwhile: then there is less to do
                if self._log.floor() <= plan.floor:
                    raise
                continue
            return plan

    def _told(self, step: str, present: Floor, target: int, due: int | None = None) -> Expiry:
        kept = {version for version in self._pinned() if version <= target} | set(present.checkpoints)
        return Expiry(step=step, floor=present.floor, target=target, kept=tuple(sorted(kept)), due=due)

    def _expired(self, rule: dict[str, Any], now: int) -> int:
        """Up to which version none is kept by the rule. The newest never expires."""
        keep_versions, keep_ns = rule.get("keep_versions"), rule.get("keep_ns")
        if keep_versions is None and keep_ns is None:
            return 0
        head = self._log.head().version
        limit = head - max(1, keep_versions or 1)
        if keep_ns is not None:
            try:
                limit = min(limit, self._log.version_at(now - keep_ns) - 1)  # which was the newest at that time
            except NotFound:
                return 0
        return max(0, limit)

    def _mark(self, plan: Expiry) -> None:
        mark = Mark(
            floor=plan.target,
            time=self._clock(),
            role=self._role,
            reason=self._reason,
            kept=plan.kept,
            keep_versions=self._rule.keep_versions,
            keep_ns=self._rule.keep_ns,
        )
        self._log.change_floor(lambda present: msgspec.structs.replace(present, mark=mark) if present.floor < mark.floor else None)

    def _publish(self, plan: Expiry) -> None:
        """Have the checkpoints of all that stays, and then the floor; pins are looked for while the mark already keeps new ones away."""
        log = self._log
        mark = self._standing
        kept: dict[int, str] = {}
        staying = {*plan.kept, *(mark.kept if mark is not None else ())}
        proved: set[str] = set()
        for version in sorted(version for version in {*staying, plan.target} if plan.floor < version <= plan.target):
            digest = checkpoint.write_checkpoint(log.storage, log.prefix, log.at(version))[1]
            self._prove(version, digest, proved)
            if version in staying:
                kept[version] = digest
        reason = self._reason or (mark.reason if mark is not None else "")
        log.publish_floor(plan.target, kept=kept, time=self._clock(), role=self._role, reason=reason, mark=mark)

    def _prove(self, version: int, digest: str, proved: set[str]) -> None:
        """Read back what takes the log's place: what was there already, and is damaged, could be made anew from the log until now."""
        stays = checkpoint.load_checkpoint(self._log.storage, self._log.prefix, version, digest)
        for window in stays.table.names():
            if stays.table.digest(window) not in proved:
                stays.table.load(window)
                proved.add(stays.table.digest(window))
