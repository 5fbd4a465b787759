"""The experiments surface: one dataset per run, which records what it read and is sealed when it ends."""

import math
import time
import uuid
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self

import msgspec
import numpy as np

from arraystore import arguments
from arraystore.arguments import TimeLike
from arraystore.artifacts import ArtifactSource
from arraystore.commit import ArtifactEntry, Pin
from arraystore.dataset import Dataset, Receipt
from arraystore.errors import InvalidInput
from arraystore.frame import Frame
from arraystore.intake import rows_from
from arraystore.surface import Surface
from arraystore.view import DatasetView
from arraystore.writer import Request
from layouts.feeds import metrics as metrics_schema
from layouts.feeds import schema_by_name
from layouts.naming import escape
from layouts.schema import Schema

METRICS = "metrics"
ERROR_LIMIT = 4096


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
        key = (experiment, uuid.uuid4().hex[:12] if run_id is None else run_id)
        attributes = {
            "state": "running",
            "params": arguments.json_object(params, "params"),
            "definition": arguments.json_object(definition, "definition"),
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
            self._seal({"state": "failed", "error": _told(error)})

    def read(
        self,
        dataset: DatasetView,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        columns: Iterable[str] | None = None,
        **options: Any,
    ) -> Frame:
        """`dataset.read(…)`, and the run remembers the pin."""
        if not isinstance(dataset, DatasetView):
            raise InvalidInput(f"a {type(dataset).__name__} isn't a dataset: pass one that a surface gave", "dataset")
        frame = dataset.read(start, end, columns, **options)
        self.uses(frame.pin)
        return frame

    def uses(self, pin: Pin | None) -> None:
        """Remember a pin of something that was read otherwise."""
        if pin is not None:
            pin = arguments.pin(pin)
            self._inputs[msgspec.json.encode(pin).decode()] = pin

    def log(self, **metrics: float) -> None:
        """Remember metrics; they become rows of the series `metrics`, and the last of each an attribute, when the run ends."""
        now = time.time_ns()
        self._metrics += [(now, arguments.text(name, "metric", empty=False), _number(name, value)) for name, value in metrics.items()]

    def write(self, series: str, data: Any, schema: Schema | None = None) -> Receipt:
        """Add rows to a series of this run; a shipped schema of that name is used if none is given."""
        if series == METRICS:
            msg = "the series 'metrics' is written by log()"
            raise InvalidInput(msg, "series")
        if schema is None and arguments.text(series, "series", empty=False) not in self.dataset.windows():
            schema = schema_by_name(series)
        return self.dataset.append(data, window=series, schema=schema)

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


def _number(name: str, value: Any) -> float:
    try:
        if not isinstance(value, str | bytes) and np.ndim(value) == 0:
            return float(value)
    except (TypeError, ValueError, OverflowError):
        pass
    msg = f"{value!r:.80} isn't one number: pass a float or an int that a float can hold"
    raise InvalidInput(msg, name)


def _told(error: BaseException | None) -> str:
    """An error in a line, whatever it is: a run that fails must be sealed all the same."""
    try:
        what = str(error)
    except Exception:  # noqa: BLE001 - the user's own class may do anything
        what = "(it can't say what)"
    return f"{type(error).__name__}: {what}"[:ERROR_LIMIT].encode(errors="backslashreplace").decode()
