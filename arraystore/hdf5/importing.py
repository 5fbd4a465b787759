"""HDF5 files as batches of rows: our own exports, pandas' tables, and any file of one-dimensional datasets with a mapping."""

# mypy: disable-error-code="import-untyped"

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import msgspec
import numpy as np

from arraystore.classes.surface import Surface
from arraystore.datasets.adding import Receipt
from arraystore.digest import LogicalDigest, parse_digest
from arraystore.errors import Corrupt, InvalidInput, NotFound, Problem, Unsupported
from arraystore.frames.frame import Frame
from arraystore.frames.rows import Rows
from arraystore.hdf5.contents import label_name, stored_arrays
from arraystore.hdf5.exporting import FORMAT
from arraystore.segments.logical import digest_of_rows
from layouts.schema import Kind, Schema, parse_schema

BATCH_BYTES = 64 << 20
BATCH_ROWS = 1 << 20
UNITS = ("ns", "us", "ms", "s")

type Batches = Callable[[], Iterator[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hdf5Rows:
    """Rows of a group of an HDF5 file: `schema` where the file tells it, and `batches`, to append one after another.

    `key` is where they came from, if they are an export of ours. Each call of `batches` begins anew; it raises `Corrupt` at the end if
    an export's values aren't those that its digests tell.
    """

    path: str
    group: str
    schema: Schema | None
    key: tuple[str, ...] | None
    storage_class: str | None
    rows: int
    batches: Batches


def open_hdf5(
    path: str | PurePath, group: str = "/", *, mapping: Mapping[str, str] | None = None, times: Mapping[str, str] | None = None
) -> Hdf5Rows:
    """Rows of an HDF5 file, whose batches `Dataset.append_stream` takes.

    Parameters
    ----------
    path
        The file.
    group
        The group in it: of an export of ours, or the key of a table that pandas wrote. The root by default; where the file holds just one
        export or table, that one.
    mapping
        Column to path of a dataset in the file (below `group`), for files of other makers: one-dimensional datasets of equal length,
        or two-dimensional ones for columns of levels. A compound dataset's fields are `path:field`.
    times
        Of columns of `mapping` that are times: what their numbers count since 1970 UTC, `ns`, `us`, `ms` or `s`. Floats are taken to
        the nearest nanosecond that they can tell.

    Raises
    ------
    NotFound
        No such file, group or dataset.
    InvalidInput
        The group is neither an export of ours nor a table, and there is no mapping; or datasets differ in length.
    Unsupported
        It is an export in a newer form.
    """
    units = dict(times or {})
    for column, unit in units.items():
        if unit not in UNITS or column not in (mapping or ()):
            raise InvalidInput(f"{column!r}: {unit!r}: name a column of the mapping, and one of {', '.join(UNITS)}", "times")
    with _opened(path) as file:
        if mapping is not None:
            return _mapped(str(path), _member(file, group), group, dict(mapping), units)
        exports, tables = _found(file)
        chosen = _chosen(str(path), group, [*exports, *tables])
        if chosen in tables:
            return _of_pandas(str(path), chosen)
        return _of_export(str(path), file[chosen], chosen)


def import_hdf5(
    path: str | PurePath,
    surface: Surface,
    key: str | tuple[str, ...] | None = None,
    *,
    group: str = "/",
    schema: Schema | None = None,
    mapping: Mapping[str, str] | None = None,
    times: Mapping[str, str] | None = None,
    token: tuple[str, int] | None = None,
    reason: str = "",
    progress: Callable[[int], None] | None = None,
) -> Receipt:
    """Append the rows of an HDF5 file to a dataset, in one commit, however many; the dataset is made if there is none.

    Our own exports come back bit for bit, nulls and NaN payloads included, and are compared with the digests they carry before the
    commit. `key` and `schema` may be left out for them. See `open_hdf5` for `group`, `mapping`, `times` and errors, and
    `Dataset.append_stream` for `token`, order and what becomes visible when. `progress` is called with the number of rows that were
    read so far, after each batch.

    Examples
    --------
    >>> import arraystore, tempfile
    >>> store = arraystore.open_store("memory://imported", role="data-quality", create=True)
    >>> trades = store.canonical.create(("venue", "trades", "X"), arraystore.schema_by_name("trades"))
    >>> trades.append({"time": [1, 2], "price": [1.0, 2.5], "size": [1.0, 1.0], "side": [1, 1], "flags": [0, 0]}).version
    2
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = arraystore.export_hdf5(f"{folder}/trades.h5", trades).path
    ...     arraystore.import_hdf5(path, store.canonical, ("venue", "trades", "Y")).version
    2
    """
    found = open_hdf5(path, group, mapping=mapping, times=times)
    place = key if key is not None else found.key
    if place is None:
        raise InvalidInput(f"{str(path)!r} doesn't say what its rows are of: pass the key", "key")
    if place in surface:
        dataset = surface[place]
    else:
        if (made := schema or found.schema) is None:
            raise InvalidInput(f"there is no dataset {place!r} yet, and {str(path)!r} tells no schema: pass one", "schema")
        dataset = surface.create(place, made)
    return dataset.append_stream(_counted(found.batches(), progress), token=token, reason=reason)


def _counted(batches: Iterator[Any], progress: Callable[[int], None] | None) -> Iterator[Any]:
    """The batches, told of once they were taken."""
    rows = 0
    for batch in batches:
        yield batch
        rows += batch.row_count if isinstance(batch, Frame) else len(next(iter(batch.values())) if isinstance(batch, dict) else batch)
        if progress is not None:
            progress(rows)


@contextmanager
def _opened(path: str | PurePath) -> Iterator[Any]:
    import h5py

    if not Path(path).is_file():
        raise NotFound(f"there is no file {str(path)!r}: give the path of an HDF5 file")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise InvalidInput(f"{str(path)!r} isn't an HDF5 file that can be read: {error}", "path") from error
    with file:
        yield file


def _found(file: Any) -> tuple[list[str], list[str]]:
    """The groups that are exports of ours, and those that are pandas' tables."""
    exports, tables = [], []

    def look(name: str, item: Any) -> None:
        if "arraystore_schema" in item.attrs:
            exports.append(f"/{name}")
        if "pandas_type" in item.attrs:
            tables.append(f"/{name}")

    if "arraystore_schema" in file.attrs:
        return ["/"], []
    file.visititems(look)
    return exports, tables


def _chosen(path: str, group: str, found: list[str]) -> str:
    wanted = "/" + group.strip("/")
    if wanted in found:
        return wanted
    if wanted == "/" and len(found) == 1:
        return found[0]
    if not found:
        what = f"{path!r} holds neither an export of arraystore nor a table of pandas: pass mapping={{column: dataset, …}}"
        raise InvalidInput(what, "mapping")
    raise NotFound(f"{path!r} has no group {wanted!r} to read; it has {', '.join(found)}")


def _member(file: Any, name: str) -> Any:
    try:
        return file[name]
    except (KeyError, ValueError) as error:
        raise NotFound(f"{file.file.filename!r} has no {name!r}; it has {', '.join(file) or 'nothing'}") from error


# Exports of ours


def _of_export(path: str, group: Any, name: str) -> Hdf5Rows:
    if (form := group.file.attrs.get("format")) != FORMAT:
        raise Unsupported(f"{path!r} is an export in the form {form!r}, and this version knows {FORMAT!r}: use a newer arraystore")
    try:
        schema = parse_schema(msgspec.json.decode(group.attrs["arraystore_schema"], type=Schema))
        key = msgspec.json.decode(group.attrs["arraystore_key"], type=tuple[str, ...])
    except (msgspec.MsgspecError, InvalidInput, KeyError, TypeError) as error:
        raise Corrupt(f"{path!r}: {name} doesn't say what its columns are: {error}") from error
    rows = _rows_of(group, schema)
    return Hdf5Rows(
        path=path,
        group=name,
        schema=schema,
        key=key,
        storage_class=str(group.attrs.get("arraystore_class", "")),
        rows=rows,
        batches=lambda: _export_batches(path, name, schema, rows),
    )


def _rows_of(group: Any, schema: Schema) -> int:
    lengths = set()
    for stored in stored_arrays(schema, 1):
        spec = stored.spec
        dataset = _member(group, spec.name)
        if dataset.dtype != stored.dtype or dataset.shape[1:] != spec.inner_shape:
            what = f"is {dataset.dtype} of shape {dataset.shape}, and its schema says {stored.dtype} of inner shape {spec.inner_shape}"
            raise Corrupt(f"{group.file.filename!r}: {dataset.name} {what}")
        if not spec.is_payload:
            lengths.add(dataset.shape[0])
    if len(lengths) != 1:
        raise Corrupt(f"{group.file.filename!r}: the columns of {group.name} have {sorted(lengths)} rows")
    return int(lengths.pop())


def _export_batches(path: str, name: str, schema: Schema, rows: int) -> Iterator[Frame]:
    found = {spec.name: LogicalDigest() for spec in schema.arrays()}
    with _opened(path) as file:
        group = file[name]
        labels = {c.name: tuple(group[label_name(c)].asstr()[()]) for c in schema.columns if c.kind is Kind.DICTIONARY}
        bytes_done = {column.name: 0 for column in schema.columns if column.is_ragged}
        width = sum(spec.element_bytes for spec in schema.arrays() if not spec.is_payload)
        step = max(1, min(BATCH_ROWS, BATCH_BYTES // width))
        for start in range(0, rows, step):
            arrays = {}
            for spec in schema.arrays():
                if not spec.is_payload:
                    arrays[spec.name] = _plain(group[spec.name][start : start + step], spec.dtype)
            for column, done in bytes_done.items():
                stop = done + int(arrays[f"{column}_count"].sum(dtype=np.int64))
                arrays[column] = group[column][done:stop]
                bytes_done[column] = stop
            batch = Rows(schema=schema, count=min(step, rows - start), arrays=arrays, labels=labels)
            for spec in schema.arrays():
                found[spec.name] += digest_of_rows(batch, schema, spec)
            yield Frame(batch.tidy())
        for spec in schema.arrays():
            told = parse_digest(str(group[spec.name].attrs["logical_digest"]))
            if found[spec.name] != told:
                raise Corrupt(f"{path!r}: {group[spec.name].name} holds other values than were exported: {found[spec.name]}, not {told}")


def _plain(values: np.ndarray, dtype: str) -> np.ndarray:
    return values.view(np.bool_) if dtype == "bool" else values


# Tables of pandas


def _of_pandas(path: str, key: str) -> Hdf5Rows:
    import pandas as pd

    with pd.HDFStore(path, mode="r") as store:
        storer = store.get_storer(key)
        rows = int(storer.nrows or 0) if storer.is_table else len(store[key])
        is_table = bool(storer.is_table)

    def batches() -> Iterator[Any]:
        with pd.HDFStore(path, mode="r") as store:
            if is_table:
                yield from (store.select(key, start=start, stop=start + BATCH_ROWS) for start in range(0, rows, BATCH_ROWS))
            else:
                yield store[key]

    return Hdf5Rows(path=path, group=key, schema=None, key=None, storage_class=None, rows=rows, batches=batches)


# Anybody's


def _mapped(path: str, group: Any, name: str, mapping: dict[str, str], units: dict[str, str]) -> Hdf5Rows:
    problems: list[Problem] = []
    lengths: dict[str, int] = {}
    width = 1
    for column, place in mapping.items():
        dataset, field = _member(group, place.partition(":")[0]), place.partition(":")[2]
        if not hasattr(dataset, "shape") or not 1 <= len(dataset.shape) <= 2:
            problems.append(Problem(f"column {column!r}", f"{place!r} is no dataset of one or two dimensions"))
        elif field and field not in (dataset.dtype.names or ()):
            problems.append(Problem(f"column {column!r}", f"{dataset.name!r} has no field {field!r}; it has {dataset.dtype.names}"))
        else:
            lengths[column] = dataset.shape[0]
            width += dataset.dtype.itemsize * math.prod(dataset.shape[1:])
    if len(set(lengths.values())) > 1:
        problems.append(Problem("mapping", f"datasets have different lengths: {lengths}; map those that belong to the same rows"))
    if problems or not lengths:
        raise InvalidInput(problems or "an empty mapping names no column")
    rows, step = next(iter(lengths.values())), max(1, min(BATCH_ROWS, BATCH_BYTES // width))

    def batches() -> Iterator[dict[str, Any]]:
        with _opened(path) as file:
            for start in range(0, rows, step):
                part = slice(start, start + step)
                yield {column: _values(file[name], column, place, part, units.get(column)) for column, place in mapping.items()}

    return Hdf5Rows(path=path, group=name, schema=None, key=None, storage_class=None, rows=rows, batches=batches)


def _values(group: Any, column: str, place: str, part: slice, unit: str | None) -> Any:
    import h5py

    path, _, field = place.partition(":")
    dataset = group[path]
    if h5py.check_string_dtype(dataset.dtype):
        return dataset.asstr()[part].tolist()
    values = dataset[part][field] if field else dataset[part]
    return values if unit is None else _times(values, column, unit)


def _times(values: Any, column: str, unit: str) -> Any:
    """Counts of a unit since 1970 as datetime64[ns]: integers exactly, floats to the nearest nanosecond; NaN is no time."""
    scale = 10 ** (9 - 3 * UNITS[::-1].index(unit))
    limit = np.iinfo(np.int64).max // scale
    if values.dtype.kind not in "iuf":
        raise InvalidInput(Problem(f"column {column!r}", f"is of type {values.dtype}, and times are numbers: leave it out of times"))
    finite = np.isfinite(values)
    if (np.abs(values[finite].astype(np.float64)) > limit).any():
        raise InvalidInput(Problem(f"column {column!r}", f"holds {values[finite].max()}, which no {unit} since 1970 within 292 years is"))
    if values.dtype.kind != "f":
        return (values.astype(np.int64) * scale).view("datetime64[ns]")
    whole = np.floor(np.where(finite, values, 0))
    counts = whole.astype(np.int64) * scale + np.rint((np.where(finite, values, 0) - whole) * scale).astype(np.int64)
    counts[~finite] = np.iinfo(np.int64).min
    return counts.view("datetime64[ns]")
