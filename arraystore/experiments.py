"""The experiments surface: one dataset per run, which records what it read and is sealed when it ends."""

import math
import time
import uuid
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self

import msgspec

from arraystore.arguments import TimeLike
from arraystore.artifacts import ArtifactSource
from arraystore.commit import ArtifactEntry, Pin
from arraystore.dataset import Dataset, Receipt
from arraystore.errors import InvalidInput
from arraystore.frame import Frame
from arraystore.intake import rows_from
from arraystore.surface import Surface
from arraystore.writer import Request
from layouts.feeds import metrics as metrics_schema
from layouts.feeds import schema_by_name
from layouts.naming import escape
from layouts.schema import Schema

METRICS = "metrics"


class ExperimentsSurface(Surface):
    """Backtest runs. A surface like the others; `run` makes one."""

    def run(
        self,
        experiment: str,
        run_id: str | None = None,
        *,
        params: Mapping[str, Any] | None = None,
        definition: Mapping[str, Any] | None = None,
    ) -> "Run":
        """Start a run, to be used as a context: it ends `finished`, or `failed` if an exception leaves it, sealed either way.

        Parameters
        ----------
        run_id
            Unique in the experiment; made up if not given.
        params, definition
            What the run was made with: JSON-like values.

        Raises
        ------
        AlreadyExists
            If the experiment has such a run.
        """
        key = (experiment, run_id or uuid.uuid4().hex[:12])
        attributes = {
            "state": "running",
            "params": _plain(params or {}, "params"),
            "definition": _plain(definition or {}, "definition"),
            "started": time.time_ns(),
        }
        return Run(self.create(key, None, attributes=attributes))


class Run:
    """A run under way. Not to be shared between threads."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self._inputs: dict[str, Pin] = {}
        self._metrics: list[tuple[int, str, float]] = []

    @property
    def key(self) -> tuple[str, ...]:
        """Experiment and run."""
        return self.dataset.key

    @property
    def inputs(self) -> tuple[Pin, ...]:
        """The pins of all that was read through this run, in order."""
        return tuple(self._inputs.values())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            self._seal({"state": "finished"})
        else:
            self._seal({"state": "failed", "error": f"{type(error).__name__}: {error}"})

    def read(
        self,
        dataset: Dataset,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        columns: Iterable[str] | None = None,
        **options: Any,
    ) -> Frame:
        """`dataset.read(…)`, and the run remembers the pin."""
        frame = dataset.read(start, end, columns, **options)
        self.uses(frame.pin)
        return frame

    def uses(self, pin: Pin | None) -> None:
        """Remember a pin of something that was read otherwise."""
        if pin is not None:
            self._inputs[msgspec.json.encode(pin).decode()] = pin

    def log(self, **metrics: float) -> None:
        """Remember metrics; they become rows of the series `metrics`, and the last of each an attribute, when the run ends."""
        for name, value in metrics.items():
            try:
                number = float(value)
            except (TypeError, ValueError) as error:
                msg = f"{value!r} isn't a number"
                raise InvalidInput(msg, name) from error
            self._metrics.append((time.time_ns(), name, number))

    def write(self, series: str, data: Any, schema: Schema | None = None) -> Receipt:
        """Add rows to a series of this run; a shipped schema of that name is used if none is given."""
        if series == METRICS:
            msg = "the series 'metrics' is written by log()"
            raise InvalidInput(msg, "series")
        known = schema or (None if series in self.dataset.windows() else schema_by_name(series))
        return self.dataset.append(data, window=series, schema=known)

    def add_file(self, file: ArtifactSource, name: str | None = None, *, media_type: str | None = None) -> ArtifactEntry:
        """Keep a file with this run."""
        return self.dataset.add_file(file, name, media_type=media_type)

    def _seal(self, outcome: Mapping[str, Any]) -> None:
        """The last commit: metrics, inputs, state; nothing can be added after it."""
        times, names, values = (list(column) for column in zip(*self._metrics, strict=True)) if self._metrics else ([], [], [])
        rows = rows_from({"time": times, "name": names, "value": values}, metrics_schema()) if self._metrics else None
        latest = {name: value if math.isfinite(value) else str(value) for _, name, value in self._metrics}
        request = Request(
            operation="seal",
            role=self.dataset.role,
            rows=rows,
            window=escape(METRICS) if rows is not None else None,
            completeness="complete",
            inputs=self.inputs,
            attributes={**outcome, "metrics": latest, "ended": time.time_ns()},
            state="sealed",
        )
        self.dataset.commit(request)


def _plain(value: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The value as JSON would keep it, or a clear refusal."""
    try:
        plain = msgspec.json.decode(msgspec.json.encode(value))
    except (TypeError, msgspec.MsgspecError, ValueError) as error:
        msg = f"{error}: give text, numbers, booleans, None, lists and mappings with text keys"
        raise InvalidInput(msg, where) from error
    if not isinstance(plain, dict):
        msg = f"{type(value).__name__} isn't a mapping of names to values"
        raise InvalidInput(msg, where)
    return plain
