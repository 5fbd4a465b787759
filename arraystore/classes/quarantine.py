"""The quarantine surface: windows kept from promotion, with the reason, the evidence, what reviewers say, and what became of them."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec

from arraystore import arguments
from arraystore.arguments import IntervalLike
from arraystore.classes.cases import STATES, QuarantineCase, case_of, reopened
from arraystore.classes.manykeys import Key
from arraystore.classes.surface import Surface
from arraystore.datasets.adding import Receipt
from arraystore.datasets.artifacts import Artifact, ArtifactSource
from arraystore.datasets.dataset import Dataset
from arraystore.datasets.request import Request
from arraystore.datasets.writer import Piece, pieces_of
from arraystore.errors import Conflict, InvalidInput
from arraystore.frames.intake import rows_from
from arraystore.frames.rows import concat
from arraystore.versions.commit import Interval, Pin
from layouts.classes import Action
from layouts.schema import Schema, parse_schema
from layouts.times import parse_duration

ATTEMPTS = 100

type Evidence = ArtifactSource | Mapping[str, ArtifactSource]


class QuarantineSurface(Surface):
    """Datasets excluded from promotion. A surface like the others, with verbs for review."""

    def hold(
        self,
        key: Key,
        data: Any,
        *,
        schema: Schema,
        reason: str,
        failed_checks: Sequence[str],
        source: str,
        inputs: Iterable[Pin] = (),
        coverage: Iterable[IntervalLike] | IntervalLike | None = None,
        evidence: Evidence | None = None,
    ) -> Receipt:
        """Put rows into quarantine, window by window; the dataset is made if there is none.

        All windows that weren't there before are one commit. A window that is held already gets the rows added, and keeps its notes; one
        that was released or rejected becomes a new case of these rows alone: each is a commit of its own, and tells its earlier cases.

        Parameters
        ----------
        reason
            A code for why (`checksum-mismatch`, `sequence-gap`, …).
        failed_checks
            Names of the checks that failed.
        source
            Where the rows came from, for people: a file, a connection, a dataset and version. Pins go into `inputs`.
        evidence
            A file (a path, bytes, an open binary file) to keep with the case, or several by name.
        """
        case = {
            "state": "held",
            "reason": arguments.text(reason, "reason", empty=False),
            "failed_checks": list(arguments.texts(failed_checks, "failed_checks")),
            "source": arguments.text(source, "source", empty=False),
            "held": time.time_ns(),
        }
        rows, covered, pins = rows_from(data, parse_schema(schema)), arguments.coverage(coverage), arguments.inputs(inputs)
        if not rows.count and not covered:
            raise InvalidInput("there are no rows and no coverage, so there is nothing to hold: pass coverage=[(start, end)]", "data")
        self._check_pins(pins)
        pieces = pieces_of(rows.schema, rows, covered)
        dataset = self.create(key, schema, exist_ok=True)
        if evidence is not None:
            case["evidence"] = _keep(dataset, evidence, f"evidence/{case['held']}")
        first = Request(operation="append", role=dataset.role, completeness="complete", reopen=True, inputs=pins, reason=reason)
        windows = tuple(sorted(pieces))
        while pieces:
            dataset.refresh()
            known = [name for name in sorted(pieces) if _attributes(dataset, name)]
            now = known[:1] or sorted(pieces)
            try:
                receipt = dataset.commit(_holding(dataset, first, {name: pieces[name] for name in now}, case))
            except Conflict:
                continue  # somebody else held or decided meanwhile: look again
            for name in now:
                del pieces[name]
        return Receipt(receipt.version, rows.count, windows, receipt.pin)

    def release(self, key: Key, window: str, *, into: Dataset | Pin | Iterable[Pin], note: str = "", reopen: bool = False) -> Receipt:
        """Mark a held window as released, once.

        Parameters
        ----------
        into
            Either pins of the versions that took the rows, or made them superfluous; or a canonical dataset, which then gets the rows as
            they are held, in one commit that names their version here as its input, however often this is tried.
        reopen
            Allow adding to a window that is complete there.
        """
        self._place(key, Action.WRITE)
        dataset, note = self[key], arguments.text(note, "note")
        if not isinstance(into, Dataset):
            pins = arguments.inputs(into, "into")
            if not pins:
                told = "released into nothing: pass a dataset, or the pins of the versions that took the rows, or reject the window"
                raise InvalidInput(told, "into")
            self._check_pins(pins)
            return self._decide(dataset, window, {"state": "released", "released_into": msgspec.to_builtins(pins), "note": note or None})
        _refuse_decided(dataset, window, "released")
        pin = _promote(dataset, window, into, note, reopen=reopen)
        released = {"state": "released", "released_into": [msgspec.to_builtins(pin)], "note": note or None}
        return self._decide(dataset, window, released, attempts=1)

    def reject(self, key: Key, window: str, *, note: str) -> Receipt:
        """Mark a held window as rejected for good, with a note that says why."""
        self._place(key, Action.WRITE)
        return self._decide(self[key], window, {"state": "rejected", "note": arguments.text(note, "note", empty=False)})

    def note(self, key: Key, window: str, text: str) -> Receipt:
        """Add a reviewer's note to a case, whatever its state, with the time and the role; notes are never changed."""
        self._place(key, Action.WRITE)
        dataset = self[key]
        told = {"time": time.time_ns(), "role": self._role.value, "text": arguments.text(text, "text", empty=False)}
        for _ in range(ATTEMPTS):
            before = dataset.manifest(window).attributes
            try:
                return _amend(dataset, window, {"notes": [*before.get("notes", ()), told]}, reason="note")
            except Conflict:
                dataset.refresh()
        raise Conflict(f"{'/'.join(dataset.key)}: others changed window {window} {ATTEMPTS} times meanwhile; try again")

    def _decide(self, dataset: Dataset, window: str, attributes: Mapping[str, Any], attempts: int = ATTEMPTS) -> Receipt:
        """Decide on a case that is held, unless somebody else did or held more of it."""
        told = {**attributes, "decided": time.time_ns(), "decided_by": self._role.value}
        for attempt in range(attempts):
            if attempt:
                dataset.refresh()
            _refuse_decided(dataset, window, told["state"])
            try:
                return _amend(dataset, window, told, reason=str(told.get("note") or ""))
            except Conflict:
                continue
        raise Conflict(f"{'/'.join(dataset.key)}: window {window} changed meanwhile: look at it again, then decide")

    def case(self, key: Key, window: str) -> QuarantineCase:
        """What is known of one window in quarantine."""
        return _case(self[key], window)

    def evidence(self, key: Key, window: str) -> Mapping[str, Artifact]:
        """The files kept with a case, by name."""
        dataset = self[key]
        kept = dataset.artifacts()
        return {name: kept[name] for name in _case(dataset, window).evidence if name in kept}

    def cases(
        self, *, state: str | None = None, reason: str | None = None, older_than: str | timedelta | None = None
    ) -> list[QuarantineCase]:
        """Every window in quarantine, sorted by key and window.

        Parameters
        ----------
        state
            `held`, `released` or `rejected`.
        older_than
            Only those first held longer ago than this: `"7d"`, `"90m"`, or a timedelta.
        """
        if state is not None and state not in STATES:
            msg = f"{state!r} is none of {', '.join(STATES)}"
            raise InvalidInput(msg, "state")
        latest = time.time_ns() - (0 if older_than is None else parse_duration(older_than, "older_than"))
        cases = [_case(dataset, window) for dataset in map(self.__getitem__, self.find()) for window in dataset.windows()]
        return [
            case
            for case in cases
            if state in (None, case.state) and reason in (None, case.reason) and (older_than is None or case.held < latest)
        ]


def _attributes(dataset: Dataset, window: str) -> Mapping[str, Any]:
    return dataset.manifest(window).attributes if window in dataset.windows() else {}


def _case(dataset: Dataset, window: str) -> QuarantineCase:
    manifest = dataset.manifest(window)
    held = manifest.attributes.get("held")
    return case_of(manifest, held if isinstance(held, int) else _first_seen(dataset, window))


def _first_seen(dataset: Dataset, window: str) -> int:
    """When a window that doesn't say so itself was first committed."""
    return next((version.time for version in dataset.versions() if window in version.windows), 0)


def _keep(dataset: Dataset, evidence: Evidence, prefix: str) -> list[str]:
    """Add the files to the dataset, under names of their own."""
    files = evidence if isinstance(evidence, Mapping) else {None: evidence}
    names = []
    for name, file in files.items():
        known = name if name is not None or not isinstance(file, bytes | bytearray | memoryview) else "evidence"
        if known is None:
            known = str(getattr(file, "name", file)).rpartition("/")[2]
        names.append(dataset.add_file(file, f"{prefix}/{arguments.text(known, 'evidence', empty=False)}").name)
    return names


def _holding(dataset: Dataset, request: Request, pieces: Mapping[str, Piece], case: Mapping[str, Any]) -> Request:
    """The commit that holds these pieces: of one window that is known, or of all that aren't."""
    parts = [part for part, _ in pieces.values() if part is not None]
    rows = concat(parts) if len(parts) > 1 else parts[0] if parts else rows_from(None, dataset.schema)
    coverage: tuple[Interval, ...] = tuple(interval for _, covered in pieces.values() for interval in covered)
    name = next(iter(pieces))
    before = _attributes(dataset, name)
    decided = before.get("state", "held") != "held"
    return replace(
        request,
        operation="replace" if decided else "append",
        rows=rows,
        coverage=coverage,
        window=name if decided else None,
        replaces=dataset.version if decided else None,
        seen=dataset.version,
        window_attributes=reopened(before, case),
    )


def _amend(dataset: Dataset, window: str, attributes: Mapping[str, Any], *, reason: str) -> Receipt:
    """Change what a window says of itself, if it is as this handle sees it."""
    dataset.manifest(window)
    plain = arguments.json_object(attributes, "attributes")
    request = Request(
        operation="update", role=dataset.role, window=window, reopen=True, seen=dataset.version, window_attributes=plain, reason=reason
    )
    return dataset.commit(request)


def _refuse_decided(dataset: Dataset, window: str, wanted: str) -> None:
    state = dataset.manifest(window).attributes.get("state")
    if state != "held":
        raise InvalidInput(f"window {window} is {state!r}, and only a held one can be {wanted}", "window")


def _promote(dataset: Dataset, window: str, into: Dataset, note: str, *, reopen: bool) -> Pin:
    """Add a held window's rows to another dataset, once, whatever becomes of this process; the pin of the version that has them."""
    manifest, frame = dataset.manifest(window), dataset.read(window=window)
    assert frame.pin is not None
    receipt = into.append(
        frame,
        inputs=(frame.pin,),
        coverage=manifest.coverage or None,
        completeness="complete",
        token=(f"quarantine {dataset.uuid} {window}", manifest.version),
        reopen=reopen,
        reason=note or f"released from quarantine/{'/'.join(dataset.key)} {window}",
    )
    return receipt.pin
