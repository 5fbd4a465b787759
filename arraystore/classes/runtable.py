"""All runs of an experiment as one table of parameters, metrics and states, and as a grid over parameters."""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import msgspec

from arraystore.errors import InvalidInput, Problem
from arraystore.versions.state import State

FIXED = ("run", "state", "attempt", "started", "ended", "error", "note")
TIMES = frozenset({"started", "ended"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One run. `started` and `ended` are int64 ns since 1970 UTC; `params` and `metrics` by name, of metrics the latest value."""

    experiment: str
    run: str
    state: str
    attempt: int
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    started: int | None
    ended: int | None
    error: str | None
    note: str | None
    version: int


def row_of(key: tuple[str, ...], state: State, standing: str) -> RunRow:
    """A run's newest state as a row."""
    told = state.attributes
    return RunRow(
        experiment=key[0],
        run=key[1],
        state=standing,
        attempt=_typed(told.get("attempt"), int) or 1,
        params=_typed(told.get("params"), dict) or {},
        metrics={name: float(value) for name, value in (_typed(told.get("metrics"), dict) or {}).items()},
        started=_typed(told.get("started"), int),
        ended=_typed(told.get("ended"), int),
        error=_typed(told.get("error"), str),
        note=_typed(told.get("note"), str),
        version=state.version,
    )


def _typed[T](value: Any, kind: type[T]) -> T | None:
    """The value if it is of that type: attributes of a run are whatever somebody wrote."""
    return value if isinstance(value, kind) else None


class RunTable(Sequence[RunRow]):
    """Runs by name. Columns are `run`, `state`, `attempt`, `started`, `ended`, `error`, `note`, `params.<name>`, `metrics.<name>`.

    Parameters that are objects are taken apart (`params.model.width`). Where a run hasn't a value it is null.
    """

    def __init__(self, experiment: str, rows: tuple[RunRow, ...]) -> None:
        self.experiment = experiment
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> RunRow: ...
    @overload
    def __getitem__(self, index: slice) -> "RunTable": ...
    def __getitem__(self, index: int | slice) -> "RunRow | RunTable":
        return RunTable(self.experiment, self.rows[index]) if isinstance(index, slice) else self.rows[index]

    def __repr__(self) -> str:
        states = ", ".join(f"{count} {state}" for state, count in sorted(self.states().items()))
        return f"<RunTable {self.experiment}: {len(self)} runs ({states or 'none'})>"

    def states(self) -> dict[str, int]:
        """How many runs stand how."""
        return dict(Counter(row.state for row in self.rows))

    def columns(self) -> dict[str, list[Any]]:
        """The table by columns; times are int ns."""
        params = [_flat(row.params) for row in self.rows]
        metrics = [row.metrics for row in self.rows]
        return {
            **{name: [getattr(row, name) for row in self.rows] for name in FIXED},
            **{f"params.{name}": [values.get(name) for values in params] for name in _names(params)},
            **{f"metrics.{name}": [values.get(name) for values in metrics] for name in _names(metrics)},
        }

    def to_arrow(self) -> Any:
        """A `pyarrow.Table`; times as timestamp[ns, UTC], parameters that are lists or of several types as JSON text."""
        from arraystore.frames.arrow import table_of

        return table_of({name: [*map(_as_text, values)] if _is_mixed(values) else values for name, values in self.columns().items()}, TIMES)

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame`, by way of Arrow."""
        return self.to_arrow().to_pandas()

    def to_polars(self) -> Any:
        """A `polars.DataFrame`, by way of Arrow."""
        from arraystore.frames.arrow import polars_of

        return polars_of(self.to_arrow())

    def to_xarray(self, dims: Sequence[str], values: Sequence[str] | None = None) -> Any:
        """An `xarray.Dataset` of finished runs over parameters: one float variable per metric, and `run` with the runs' names.

        Parameters
        ----------
        dims
            Names of parameters: together they must tell all finished runs apart.
        values
            Names of metrics; all by default. NaN (for `run`, empty) where there is no run.
        """
        from arraystore.frames.xarrayframe import grid_of

        finished = [(row, _flat(row.params)) for row in self.rows if row.state == "finished"]
        axes = _axes(dims, finished)
        at = {name: {value: place for place, value in enumerate(axis)} for name, axis in axes.items()}
        metrics = _names([row.metrics for row, _ in finished])
        _refuse_unknown(values, metrics)
        places: dict[tuple[int, ...], str] = {}
        cells: dict[str, dict[tuple[int, ...], float]] = {name: {} for name in (metrics if values is None else values)}
        for row, params in finished:
            place = tuple(at[name][params[name]] for name in axes)
            if place in places:
                told = ", ".join(f"{name}={params[name]!r}" for name in axes)
                raise InvalidInput(
                    f"runs {places[place]!r} and {row.run!r} both have {told}: name a parameter more, or leave one out", "dims"
                )
            places[place] = row.run
            for name, found in cells.items():
                if name in row.metrics:
                    found[place] = row.metrics[name]
        return grid_of(axes, places, cells)


def _flat(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters with those of inner objects named by their way, as far as that names each once."""
    pairs = list(_pairs("", params))
    flat = dict(pairs)
    return flat if len(flat) == len(pairs) else dict(params)


def _pairs(prefix: str, params: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in params.items():
        if isinstance(value, Mapping) and value:
            yield from _pairs(f"{prefix}{name}.", value)
        else:
            yield f"{prefix}{name}", value


def _names(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """All names that occur, as they were met."""
    return list(dict.fromkeys(name for row in rows for name in row))


def _is_mixed(values: Sequence[Any]) -> bool:
    """Whether values have no one type that a column could have: int and float do, as float."""
    kinds = {type(value) for value in values if value is not None}
    numbers = kinds <= {int, float} and not any(isinstance(value, int) and abs(value) >= 1 << 63 for value in values)
    return not (numbers or kinds in ({bool}, {str}))


def _as_text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else msgspec.json.encode(value).decode()


def _axes(dims: Sequence[str], finished: Sequence[tuple[RunRow, Mapping[str, Any]]]) -> dict[str, list[Any]]:
    """The values of each parameter, sorted where they can be; every run must have one that can be told apart."""
    names = (dims,) if isinstance(dims, str) else tuple(dims)
    if not names or len(set(names)) != len(names):
        raise InvalidInput(f"{names} aren't dimensions: name parameters, each once", "dims")
    problems = [
        Problem(
            f"dims {name!r}", f"run {row.run!r} has {params[name]!r}, which is no axis" if name in params else f"run {row.run!r} hasn't it"
        )
        for name in names
        for row, params in finished
        if not isinstance(params.get(name), Hashable) or params.get(name) is None
    ]
    if problems:
        raise InvalidInput(problems[:10])
    return {name: _sorted(dict.fromkeys(params[name] for _, params in finished)) for name in names}


def _sorted(values: Iterable[Any]) -> list[Any]:
    listed = list(values)
    try:
        return sorted(listed)
    except TypeError:
        return listed


def _refuse_unknown(values: Sequence[str] | None, metrics: Sequence[str]) -> None:
    problems = [
        Problem(f"values {name!r}", f"no such metric; there are {', '.join(metrics)}") for name in values or () if name not in metrics
    ]
    if problems:
        raise InvalidInput(problems)
