"""The quarantine surface: windows kept from promotion, with the reason, the failed checks and where they came from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from arraystore import arguments
from arraystore.arguments import IntervalLike
from arraystore.commit import Pin
from arraystore.dataset import Dataset, Receipt
from arraystore.errors import InvalidInput
from arraystore.intake import rows_from
from arraystore.surface import Key, Surface
from layouts.classes import Action
from layouts.schema import Schema, parse_schema

STATES = ("held", "released", "rejected")


@dataclass(frozen=True, slots=True)
class QuarantineCase:
    """One window in quarantine and what is known of it."""

    key: tuple[str, ...]
    window: str
    state: str
    reason: str
    failed_checks: tuple[str, ...]
    source: str
    attributes: Mapping[str, Any]


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
    ) -> Receipt:
        """Put rows into quarantine, window by window, in one commit; the dataset is made if there is none.

        Parameters
        ----------
        reason
            A code for why (`checksum-mismatch`, `sequence-gap`, …).
        failed_checks
            Names of the checks that failed.
        source
            Where the rows came from, for people: a file, a connection, a dataset and version. Pins go into `inputs`.
        """
        attributes = {
            "state": "held",
            "reason": arguments.text(reason, "reason", empty=False),
            "failed_checks": list(arguments.texts(failed_checks, "failed_checks")),
            "source": arguments.text(source, "source", empty=False),
        }
        rows, covered, pins = rows_from(data, parse_schema(schema)), arguments.coverage(coverage), arguments.inputs(inputs)
        if not rows.count and not covered:
            raise InvalidInput("there are no rows and no coverage, so there is nothing to hold: pass coverage=[(start, end)]", "data")
        self._check_pins(pins)
        dataset = self.create(key, schema, exist_ok=True)
        return dataset.append(
            rows, inputs=pins, coverage=covered, completeness="complete", reopen=True, window_attributes=attributes, reason=reason
        )

    def release(self, key: Key, window: str, *, into: Pin | Iterable[Pin], note: str = "") -> Receipt:
        """Mark a held window as released into canonical datasets, named by the pins of the versions that took it."""
        pins = arguments.inputs(into, "into")
        if not pins:
            raise InvalidInput("released into nothing: pass the pins of the versions that took the rows, or reject the window", "into")
        note = arguments.text(note, "note")
        self._check_pins(pins)
        return self._decide(key, window, {"state": "released", "released_into": msgspec.to_builtins(pins), "note": note or None})

    def reject(self, key: Key, window: str, *, note: str) -> Receipt:
        """Mark a held window as rejected for good, with a note that says why."""
        return self._decide(key, window, {"state": "rejected", "note": arguments.text(note, "note", empty=False)})

    def _decide(self, key: Key, window: str, attributes: Mapping[str, Any]) -> Receipt:
        self._place(key, Action.WRITE)
        dataset = self[key]
        state = dataset.manifest(window).attributes.get("state")
        if state != "held":
            msg = f"window {window} is {state!r}, and only a held one can be {attributes['state']}"
            raise InvalidInput(msg, "window")
        return dataset.update(window=window, window_attributes=attributes, reason=str(attributes.get("note") or ""))

    def cases(self, *, state: str | None = None, reason: str | None = None) -> list[QuarantineCase]:
        """Every window in quarantine, by state or reason if given, sorted by key and window."""
        if state is not None and state not in STATES:
            msg = f"{state!r} is none of {', '.join(STATES)}"
            raise InvalidInput(msg, "state")
        cases = [case for key in self.find() for case in _cases(self[key])]
        return [case for case in cases if state in (None, case.state) and reason in (None, case.reason)]


def _cases(dataset: Dataset) -> Iterable[QuarantineCase]:
    for manifest in dataset.manifests():
        told = manifest.attributes
        yield QuarantineCase(
            dataset.key,
            manifest.window,
            str(told.get("state", "")),
            str(told.get("reason", "")),
            tuple(told.get("failed_checks", ())),
            str(told.get("source", "")),
            told,
        )
