"""Many datasets as one xarray Dataset, time by instrument, or as one Dask data frame; nothing is read of columns until it is computed."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import xarray as xr

from arraystore import arguments
from arraystore.calendars import Sessions
from arraystore.datasets.many import naming
from arraystore.datasets.view import DatasetView
from arraystore.errors import ArrayStoreError, InvalidInput, NotFound
from arraystore.frames.xarrayframe import rowwise_specs, rowwise_variable
from arraystore.labelled.alike import columns_of_all
from arraystore.labelled.members import Members
from arraystore.labelled.source import Source, source_of
from arraystore.pool import map_in_order
from layouts.classes import StorageClass
from layouts.codecs import CONVENTIONS
from layouts.naming import format_key
from layouts.schema import LEVEL_DIMENSION, ArraySpec, Column, Kind, Schema
from layouts.times import parse_duration, parse_time

TIME, INSTRUMENT, PRESENT = "time", "instrument", "present"
CLOSE_TIME = "close_time"
GRID_LIMIT = 1 << 28

type Key = tuple[str, ...]
type Openers = Mapping[Key, Callable[[], DatasetView]]


def panel_of(
    storage_class: str,
    openers: Openers,
    period: Any,
    columns: Iterable[str] | None,
    *,
    clock: str | None,
    grid: Any,
    method: str | None,
    tolerance: Any,
    ties: str,
    chunks: Any,
    threads: int | None,
) -> xr.Dataset:
    """See `Surface.panel`."""
    from arraystore.labelled.daskreads import panel_arrays

    if ties not in ("last", "first"):
        raise InvalidInput(f"{ties!r} is neither 'last' nor 'first': say which of several rows at one time counts", "ties")
    if method not in (None, "ffill"):
        raise InvalidInput(
            f"{method!r} is no method: pass 'ffill' for the row in force at each time, or None for rows at that very time", "method"
        )
    if method is None and tolerance is not None:
        raise InvalidInput("rows at that very time need no tolerance: leave it out, or pass method='ffill'", "tolerance")
    if method is not None and grid is None:
        raise InvalidInput("at which times? give a grid, as '1m' or an array of times", "grid")
    limit = None if tolerance is None else parse_duration(tolerance, "tolerance")
    sources, names = _opened(openers, period, threads)
    schemas = dict(zip(map(_called, sources), (source.schema for source in sources), strict=True))
    label = _clock_of(schemas, clock)
    common = columns_of_all(schemas, columns, {label, *((next(iter(schemas.values())).axis,) if columns is None else ())})
    _check_names(common)
    spans = period.spans if isinstance(period, Sessions) else None
    members = Members(sources=sources, clock=label, spans=spans, first=ties == "first", as_of=method is not None, tolerance=limit)
    times, placed = members.times(threads) if grid is None else (_grid_of(grid, period, ends=label == CLOSE_TIME), ())
    members = replace(members, grid=times, placed=placed)
    specs = _specs(common)
    attributes = _attributes(common, specs)
    arrays = panel_arrays(members, specs, chunks, (TIME, INSTRUMENT))
    # On the fast path, since xarray makes NaN of None where it looks at objects.
    variables = {
        spec.name: xr.Variable(spec.dimensions, array, *attributes[spec.name], fastpath=True)
        for spec, array in zip(specs, arrays, strict=True)
    }
    told = {
        TIME: (TIME, members.grid.view("datetime64[ns]"), {"standard_name": "time", "long_name": f"{label}, in UTC"}),
        INSTRUMENT: (INSTRUMENT, np.array(names, object), {}),
        "key": (INSTRUMENT, np.array([format_key(source.pin.key) for source in sources], object), {}),
        "version": (INSTRUMENT, np.array([source.pin.version for source in sources], np.int64), {}),
    }
    return xr.Dataset(variables, coords=told, attrs={"Conventions": CONVENTIONS, "storage_class": StorageClass(storage_class).value})


def dataframe_of_many(openers: Openers, period: Any, columns: Iterable[str] | None, *, rows: int | None, threads: int | None) -> Any:
    """See `Surface.panel_dataframe`."""
    from arraystore.labelled.daskreads import panel_dataframe

    most = None if rows is None else arguments.whole(rows, "rows", 1)
    sources, names = _opened(openers, period, threads)
    order = sorted(range(len(names)), key=names.__getitem__)
    sources, names = tuple(sources[place] for place in order), tuple(names[place] for place in order)
    schemas = dict(zip(map(_called, sources), (source.schema for source in sources), strict=True))
    axis = next(iter(schemas.values())).axis
    common = columns_of_all(schemas, columns if columns is None else (axis, *arguments.columns(next(iter(schemas.values())), columns)), ())
    if INSTRUMENT in {column.name for column in common}:
        raise InvalidInput("it names the datasets here: choose other columns", f"column {INSTRUMENT!r}")
    schema = msgspec.structs.replace(next(iter(schemas.values())), columns=common)
    return panel_dataframe(sources, names, schema, period.spans if isinstance(period, Sessions) else None, most)


def _opened(openers: Openers, period: Any, threads: int | None) -> tuple[tuple[Source, ...], tuple[str, ...]]:
    """The datasets, many side by side, and what they are called: the parts of their keys that differ."""
    if not openers:
        raise NotFound("no dataset matches, and a panel has at least one: look with find()")
    start, stop = period.span if isinstance(period, Sessions) else arguments.period(period)

    def opened(key: Key) -> Source:
        try:
            view = openers[key]()
            _refuse_many(view.schema)
            return source_of(view, start, stop, None, None)
        except ArrayStoreError as error:
            raise naming(error, format_key(key)) from error

    sources = tuple(map_in_order(opened, openers, arguments.threads(threads)))
    keys = list(openers)
    places = [place for place in range(len(keys[0])) if len({key[place] for key in keys}) > 1] or [len(keys[0]) - 1]
    return sources, tuple(format_key(tuple(key[place] for place in places)) if len(places) > 1 else key[places[0]] for key in keys)


def _refuse_many(schema: Schema) -> None:
    found = next((name for name in arguments.INSTRUMENT_COLUMNS if name in schema and schema.column(name).kind is Kind.DICTIONARY), None)
    if found is not None:
        told = f"its rows are of many instruments, by {found!r}, and a panel has one dataset for each"
        raise InvalidInput(f"{told}: read it with instruments=…, and pivot", "keys")


def _called(source: Source) -> str:
    return format_key(source.pin.key)


def _clock_of(schemas: Mapping[str, Schema], given: str | None) -> str:
    """The clock that tells a row's place: as asked, else when it was known."""
    first = next(iter(schemas.values()))
    label = given or (CLOSE_TIME if CLOSE_TIME in first.clocks else first.axis)
    for who, schema in schemas.items():
        if label not in schema.clocks:
            raise InvalidInput(
                f"{label!r} is no clock of {who}, whose clocks are {', '.join(schema.clocks)}: name one that all have", "clock"
            )
    return label


def _check_names(columns: Iterable[Column]) -> None:
    for column in columns:
        if column.name in (TIME, INSTRUMENT, PRESENT, "key", "version", LEVEL_DIMENSION):
            raise InvalidInput(
                "a panel has a coordinate or a variable of this name itself: choose other columns", f"column {column.name!r}"
            )


def _grid_of(given: Any, period: Any, *, ends: bool) -> np.ndarray:
    """Ascending times, each once, int64 ns: those given, or those of bars of an interval within the period."""
    if isinstance(given, str):
        if isinstance(period, Sessions):
            return period.grid(given, label="end" if ends else "start").view(np.int64)
        step, (start, stop) = parse_duration(given, "grid"), arguments.period(period)
        if start is None or stop is None:
            raise InvalidInput("a grid by an interval needs a period with both ends: give it, or the times themselves", "grid")
        if step < 1 or (stop - start) // step > GRID_LIMIT:
            raise InvalidInput(f"{given!r} makes {'no' if step < 1 else (stop - start) // step} times: up to {GRID_LIMIT} can be", "grid")
        return np.arange(start, stop, step, dtype=np.int64) + (step if ends else 0)
    array = np.asarray(given)
    if array.dtype.kind in "OUT":
        array = np.array([parse_time(each, "grid") for each in array.tolist()], np.int64)
    times = array.astype("datetime64[ns]").view(np.int64) if array.dtype.kind == "M" else array
    if times.ndim != 1 or times.dtype.kind not in "iu" or not bool((times[1:] > times[:-1]).all()):
        raise InvalidInput("the times of a grid are one-dimensional, ascending, and each comes once: sort them with numpy.unique", "grid")
    return times.astype(np.int64)


def _specs(columns: Iterable[Column]) -> list[ArraySpec]:
    """The arrays of a panel: of each column, beside those whose type has no null `x_valid`; and where there is a row."""
    specs: list[ArraySpec] = []
    for spec in rowwise_specs(_schema_of(columns)):
        dimensions = (TIME, INSTRUMENT, *spec.dimensions[1:])
        if spec.role == "values":
            specs.append(msgspec.structs.replace(spec, dimensions=dimensions))
            if np.dtype(spec.dtype).kind not in "fMO":
                beside = {"name": f"{spec.name}_valid", "role": "valid", "dtype": "bool", "dimensions": dimensions[:2], "inner_shape": ()}
                specs.append(msgspec.structs.replace(spec, **beside))
    return [*specs, ArraySpec(name=PRESENT, column="", role="count", dtype="bool", dimensions=(TIME, INSTRUMENT))]


def _attributes(columns: Iterable[Column], specs: Iterable[ArraySpec]) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Attributes and encodings of the variables, as `to_xarray` has them."""
    schema = _schema_of(columns)
    own = {spec.name: spec for spec in rowwise_specs(schema) if spec.role == "values"}
    found: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    for spec in specs:
        if spec.name in own:
            shape = (0,) * (1 + len(spec.inner_shape))
            variable = rowwise_variable(own[spec.name], schema, np.zeros(shape, spec.dtype))
            found[spec.name] = dict(variable.attrs), dict(variable.encoding)
        else:
            what = "where there is a row" if spec.role == "count" else f"where there is a row and its {spec.column} isn't null"
            found[spec.name] = {"long_name": what}, {}
    return found


def _schema_of(columns: Iterable[Column]) -> Schema:
    return Schema(name="panel", columns=tuple(columns))
