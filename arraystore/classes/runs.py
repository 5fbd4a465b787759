"""A backtest run under way: it records what it reads, keeps what it makes, and is sealed in one commit when it ends."""

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import msgspec
import numpy as np

from arraystore import arguments
from arraystore.arguments import TimeLike
from arraystore.datasets.adding import Receipt
from arraystore.datasets.artifacts import ArtifactSource
from arraystore.datasets.dataset import Dataset
from arraystore.datasets.request import Request
from arraystore.datasets.view import DatasetView
from arraystore.errors import Conflict, InvalidInput, NotFound, WindowClosed
from arraystore.frames.frame import Frame
from arraystore.frames.intake import rows_from
from arraystore.storage.base import Storage
from arraystore.versions.commit import ArtifactEntry, Pin
from arraystore.versions.liveness import Heartbeat
from layouts.feeds import metrics as metrics_schema
from layouts.feeds import schema_by_name
from layouts.naming import escape, format_key
from layouts.schema import Schema

METRICS = "metrics"
ERROR_LIMIT = 4096


class Run:
    """A run under way, or one that finished before (`done`). Not to be shared between threads.

    While it is under way and this object is in use, a thread gives signs of life, so that others can tell it from one that died.
    """

    def __init__(self, dataset: Dataset, storage: Storage | None = None) -> None:
        self.dataset = dataset
        self.done = storage is None
        self._inputs: dict[str, Pin] = {}
        self._metrics: list[tuple[int, str, float]] = []
        self._heartbeat = None if storage is None else Heartbeat(storage, format_key(dataset.key), self)

    def __repr__(self) -> str:
        return f"<Run {'/'.join(self.key)} attempt {self.attempt}, {'done' if self.done else 'under way'}>"

    @property
    def key(self) -> tuple[str, ...]:
        """Experiment and run."""
        return self.dataset.key

    @property
    def attempt(self) -> int:
        """How often this run was begun, counted from 1."""
        return int(self.dataset.attributes.get("attempt", 1))

    @property
    def params(self) -> Mapping[str, Any]:
        """What the run was made with."""
        return dict(self.dataset.attributes.get("params", {}))

    @property
    def metrics(self) -> Mapping[str, float]:
        """The latest value of each metric."""
        if self.done:
            return {name: float(value) for name, value in self.dataset.attributes.get("metrics", {}).items()}
        return {name: value for _, name, value in self._metrics}

    @property
    def inputs(self) -> tuple[Pin, ...]:
        """The pins of all that was read through this run, in order."""
        return self.dataset.versions()[-1].inputs if self.done else tuple(self._inputs.values())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.done:
            return
        try:
            self._seal({"state": "finished"} if error is None else {"state": "failed", "error": _told(error)})
        finally:
            self._stop()

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
        self._refuse_done()
        now = time.time_ns()
        self._metrics += [(now, arguments.text(name, "metric", empty=False), _number(name, value)) for name, value in metrics.items()]

    def write(self, series: str, data: Any, schema: Schema | None = None) -> Receipt:
        """Add rows to a series of this run; a shipped schema of that name is used if none is given."""
        if series == METRICS:
            msg = "the series 'metrics' is written by log()"
            raise InvalidInput(msg, "series")
        with self._mine():
            if schema is None and arguments.text(series, "series", empty=False) not in self.dataset.windows():
                schema = schema_by_name(series)
            return self.dataset.append(data, window=series, schema=schema)

    def add_file(self, file: ArtifactSource, name: str | None = None, *, media_type: str | None = None) -> ArtifactEntry:
        """Keep a file with this run."""
        with self._mine():
            return self.dataset.add_file(file, name, media_type=media_type)

    def _refuse_done(self) -> None:
        if self.done:
            raise WindowClosed(f"{'/'.join(self.key)} has ended: look at `run.done` first, and leave out what it did already")

    @contextmanager
    def _mine(self) -> Iterator[None]:
        """Nothing is added to what another process makes of this run, which it took over as dead."""
        self._refuse_done()
        try:
            yield
        except NotFound as error:
            if self.dataset.is_newest():
                raise
            told = "another process took it over, since this one gave no sign of life; what this attempt made isn't part of it"
            raise Conflict(f"{'/'.join(self.key)}: {told}") from error

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
        with self._mine():
            self.dataset.commit(request)

    def _stop(self) -> None:
        self.done = True
        if self._heartbeat is not None:
            self._heartbeat.stop()


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
