"""What a session durably holds: its last record, and whether its sequence is whole."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from arraystore.datasets.view import DatasetView
from arraystore.frames.frame import Frame

SEQUENCE = "sequence"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What a session durably holds.

    `last_sequence` is 0 for none; `last_record` names the record type that has it, `last_time` its time (int64 ns since 1970 UTC on the
    trader's clock), `last_row` the row itself, in a frame of one. `rows` counts per record type; `gaps` are half-open intervals of
    missing numbers and `repeated` numbers that occur more than once: both empty unless something is wrong.
    """

    last_sequence: int
    last_record: str | None
    last_time: int | None
    last_row: Frame | None
    rows: Mapping[str, int]
    gaps: tuple[tuple[int, int], ...]
    repeated: tuple[int, ...]

    @property
    def is_whole(self) -> bool:
        """Whether the sequence counts 1, 2, 3, … without a gap."""
        return not self.gaps and not self.repeated


def audit(datasets: Mapping[str, DatasetView]) -> Recovery:
    """Read the sequence numbers of all records of a session, and the row with the last one."""
    frames = {record: dataset.read(columns=[SEQUENCE, dataset.schema.axis]) for record, dataset in datasets.items()}
    numbers = {record: np.asarray(frame[SEQUENCE]).astype(np.int64) for record, frame in frames.items()}
    merged = np.sort(np.concatenate([np.empty(0, np.int64), *numbers.values()]))
    last = int(merged[-1]) if merged.size else 0
    steps = np.diff(merged, prepend=0)
    record = next((record for record, held in numbers.items() if last and last in held), None)
    row, time = (None, None) if record is None else _row(datasets[record], frames[record], last)
    return Recovery(
        last_sequence=last,
        last_record=record,
        last_time=time,
        last_row=row,
        rows={record: int(held.size) for record, held in numbers.items()},
        gaps=tuple((int(merged[place] - steps[place] + 1), int(merged[place])) for place in np.flatnonzero(steps > 1)),
        repeated=tuple(int(number) for number in np.unique(merged[steps == 0])),
    )


def _row(dataset: DatasetView, found: Frame, sequence: int) -> tuple[Frame, int]:
    """The row with that number, and its time: read by its time, which few others share."""
    place = int(np.flatnonzero(np.asarray(found[SEQUENCE]) == sequence)[-1])
    time = int(np.asarray(found[dataset.schema.axis])[place].view(np.int64))
    near = dataset.read(time, time + 1)
    return near.take(np.flatnonzero(np.asarray(near[SEQUENCE]) == sequence)[-1:]), time
