"""What a window in quarantine says of itself: its case, the notes on it, and the cases before (FORMAT.md section 13)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from arraystore.versions.commit import Pin
from arraystore.versions.manifest import Manifest
from layouts.windows import format_time

STATES = ("held", "released", "rejected")
CASE_FIELDS = ("state", "reason", "failed_checks", "source", "held", "evidence", "notes", "note", "decided", "decided_by", "released_into")


@dataclass(frozen=True, slots=True)
class Note:
    """What somebody wrote during a review: when (int64 ns since 1970 UTC), as which role, and the text."""

    time: int
    role: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineCase:
    """One window in quarantine and what is known of it.

    `held` and `decided` are int64 ns since 1970 UTC; `evidence` names artifacts of the dataset; `history` are the earlier cases of the
    window, and what was known of this one before more was held, oldest first, as plain values.
    """

    key: tuple[str, ...]
    window: str
    state: str
    reason: str
    failed_checks: tuple[str, ...]
    source: str
    held: int
    rows: int
    evidence: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    note: str = ""
    decided: int | None = None
    decided_by: str = ""
    released_into: tuple[Pin, ...] = ()
    history: tuple[Mapping[str, Any], ...] = ()
    lineage: tuple[Pin, ...] = ()
    attributes: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, times as ISO-8601 UTC."""
        return {
            "key": list(self.key),
            "window": self.window,
            "state": self.state,
            "reason": self.reason,
            "failed_checks": list(self.failed_checks),
            "source": self.source,
            "held": format_time(self.held),
            "rows": self.rows,
            "evidence": list(self.evidence),
            "notes": [{"time": format_time(note.time), "role": note.role, "text": note.text} for note in self.notes],
            "note": self.note,
            "decided": None if self.decided is None else format_time(self.decided),
            "decided_by": self.decided_by,
            "released_into": msgspec.to_builtins(self.released_into),
            "history": [dict(earlier) for earlier in self.history],
            "lineage": msgspec.to_builtins(self.lineage),
        }


def case_of(manifest: Manifest, held: int) -> QuarantineCase:
    """The case that a window's manifest tells; `held` is when, where its attributes don't say."""
    told = manifest.attributes
    decided = told.get("decided")
    return QuarantineCase(
        key=manifest.key,
        window=manifest.window,
        state=str(told.get("state", "")),
        reason=str(told.get("reason", "")),
        failed_checks=tuple(map(str, _listed(told, "failed_checks"))),
        source=str(told.get("source", "")),
        held=held,
        rows=manifest.rows,
        evidence=tuple(map(str, _listed(told, "evidence"))),
        notes=tuple(msgspec.convert(_listed(told, "notes"), list[Note])),
        note=str(told.get("note", "")),
        decided=decided if isinstance(decided, int) else None,
        decided_by=str(told.get("decided_by", "")),
        released_into=tuple(msgspec.convert(_listed(told, "released_into"), list[Pin])),
        history=tuple(_listed(told, "history")),
        lineage=manifest.lineage,
        attributes=told,
    )


def _listed(told: Mapping[str, Any], name: str) -> list[Any]:
    found = told.get(name)
    return found if isinstance(found, list) else []


def reopened(before: Mapping[str, Any], case: Mapping[str, Any]) -> dict[str, Any]:
    """What a window says once more is held of it: the case goes on if it was held, else a new one begins; either way nothing is lost."""
    if "state" not in before:
        return dict(case)
    earlier = {name: before[name] for name in CASE_FIELDS if name in before}
    goes_on = before["state"] == "held"
    if goes_on:
        earlier.pop("notes", None)  # they stay with the case
    history = [*_listed(before, "history"), earlier]
    if not goes_on:
        return {**case, "history": history}
    kept = {name: before[name] for name in ("held", "notes") if name in before}
    evidence = [*_listed(before, "evidence"), *_listed(case, "evidence")]
    return {**case, **kept, **({"evidence": evidence} if evidence else {}), "history": history}
