"""What of a Zarr group, its arrays taken together, isn't as the layout says; and format 2 told in words of format 3."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from layouts.arraylint import extension_deviations, inner_chunk, is_data_type, is_payload, is_shape, is_time
from layouts.chunking import CHUNK_BYTES, PAYLOAD_CHUNK_BYTES, chunk_length, shard_length
from layouts.codecs import CONVENTIONS, Profile, array_metadata, column_attributes
from layouts.deviations import Deviation, deviation, shown
from layouts.naming import is_segment_name
from layouts.schema import ArraySpec, Kind, Schema, validate_schema

type Documents = Mapping[str, Mapping[str, Any]]

V2_KINDS = {"b": "bool", "i": "int", "u": "uint", "f": "float"}


def group_deviations(place: str, document: Mapping[str, Any], arrays: Documents, groups: int) -> Iterator[Deviation]:
    """Everything about a group, given its arrays' documents by name and how many groups it holds."""
    yield from extension_deviations(place, document)
    if document.get("consolidated_metadata"):
        yield deviation("consolidated", place, "consolidated metadata")
    attributes = document.get("attributes")
    if arrays and not (isinstance(attributes, Mapping) and str(attributes.get("Conventions", "")).startswith("CF-")):
        yield deviation("conventions", place, "no attribute `Conventions`", wanted=f"`Conventions: {CONVENTIONS}` on the group")
    if groups and arrays:
        yield deviation("nested", place, f"{groups:,} groups beside {len(arrays):,} arrays")
    if arrays:
        yield from _row_deviations(place, arrays)


def _row_deviations(place: str, arrays: Documents) -> Iterator[Deviation]:
    """Whether the arrays share an axis."""
    rows = {name: dimensions[0] for name, found in arrays.items() if (dimensions := _dimensions(found)) and not is_payload(name, found)}
    axis = next((name for name, row in rows.items() if name == row and is_time(arrays[name])), None)
    if axis is None:
        named = sorted(set(map(shown, rows.values())))
        yield deviation("axis", place, f"no time array among the dimensions {', '.join(named[:6]) or 'of its arrays, which have no names'}")
        return
    length = _length(arrays[axis])
    for name, row in rows.items():
        where = f"{place}/{name}"
        if row != axis:
            yield deviation("dimensions", where, f"rows along {shown(row)}", wanted=f"rows along {shown(axis)}, the axis")
        elif _length(arrays[name]) != length:
            yield deviation("rows", where, f"{shown(_length(arrays[name]))} rows", wanted=f"{shown(length)} rows, as on the axis")
    for name, found in arrays.items():
        counts = arrays.get(f"{name}_count", {})
        if is_payload(name, found) and (counts.get("data_type") != "uint32" or _dimensions(counts) != [axis]):
            yield deviation("ragged", f"{place}/{name}", f"no uint32 array {name}_count over the rows")


def _dimensions(document: Mapping[str, Any]) -> list[str]:
    names = document.get("dimension_names")
    return names if isinstance(names, list) and names and all(isinstance(name, str) for name in names) else []


def _length(document: Mapping[str, Any]) -> Any:
    shape = document.get("shape")
    return shape[0] if is_shape(shape) else None  # type: ignore[index] # a shape is a list


def segment_deviations(place: str, name: str, document: Mapping[str, Any], arrays: Documents) -> Iterator[Deviation]:
    """What of a segment isn't as the schema in its own attributes determines it."""
    about = document["attributes"]["arraystore"]
    if about.get("segment") != name or not is_segment_name(name):
        found = f"the name {shown(name)}, where its metadata say {shown(about.get('segment'))}"
        yield deviation("misplaced", place, found, wanted="a segment in the folder of its name")
    try:
        schema = msgspec.convert(about.get("schema"), Schema)
        problems = [str(problem) for problem in validate_schema(schema)]
    except (msgspec.MsgspecError, TypeError, ValueError) as error:
        problems = [str(error)]
    if problems:
        yield from (deviation("schema", place, problem) for problem in problems)
        return
    specs = {spec.name: spec for spec in schema.arrays()}
    for unknown in sorted(arrays.keys() - specs.keys()):
        yield deviation("segment", f"{place}/{unknown}", "an array that its schema hasn't")
    for spec in specs.values():
        column = schema.column(spec.column)
        if spec.name in arrays:
            yield from _document_deviations(f"{place}/{spec.name}", spec, schema, arrays[spec.name])
        elif not column.nullable or (spec.role == "count" and spec.column in arrays):
            yield deviation("segment", place, f"no array {spec.name!r}, which its schema wants")


def _document_deviations(place: str, spec: ArraySpec, schema: Schema, found: Mapping[str, Any]) -> Iterator[Deviation]:
    """Whether an array's document is one of those that the schema and its length determine."""
    length = _length(found)
    if length is None:
        return  # told already
    attributes = found.get("attributes")
    labels = attributes.get("labels", []) if isinstance(attributes, Mapping) else []
    column = schema.column(spec.column)
    if column.kind is Kind.DICTIONARY and spec.role == "values" and not _are_labels(labels):
        yield deviation("segment", place, f"labels {shown(labels)}", wanted="a list of texts, none twice")
        return
    chunk = chunk_length(length, spec.element_bytes, _budget(spec))
    wanted = array_metadata(
        spec,
        length=length,
        chunk=chunk,
        shard=shard_length(length, chunk, spec.element_bytes),
        profile=Profile.DENSE,
        attributes=column_attributes(column, labels, role=spec.role),
    )
    for field in ("shape", "data_type", "dimension_names", "attributes", "chunk_grid"):
        if found.get(field) != wanted[field]:
            yield deviation("segment", place, f"{field} {shown(found.get(field))}", wanted=f"{field} {shown(wanted[field])}")
    inner = wanted["codecs"][0]["configuration"]["chunk_shape"]
    if inner_chunk(found) not in (None, inner):
        yield deviation("segment", place, f"chunks of {shown(inner_chunk(found))}", wanted=f"chunks of {shown(inner)}")


def _budget(spec: ArraySpec) -> int:
    return PAYLOAD_CHUNK_BYTES if spec.is_payload else CHUNK_BYTES


def _are_labels(labels: Any) -> bool:
    return isinstance(labels, list) and all(isinstance(label, str) for label in labels) and len(set(labels)) == len(labels)


def from_v2(array: Mapping[str, Any], attributes: Mapping[str, Any]) -> dict[str, Any]:
    """A `.zarray` and its `.zattrs` as format 3 would say it, as far as it can."""
    plain = {name: value for name, value in attributes.items() if name != "_ARRAY_DIMENSIONS"}
    dtype = array.get("dtype")
    codecs: list[Any] = [*_v2_codecs(array.get("filters"))]
    if array.get("order") == "F":
        codecs.append({"name": "transpose"})
    codecs.append({"name": "bytes", "configuration": {"endian": "big" if isinstance(dtype, str) and dtype[:1] == ">" else "little"}})
    codecs += _v2_codecs([array.get("compressor")])
    return {
        "shape": array.get("shape"),
        "data_type": _v2_type(dtype),
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": array.get("chunks")}},
        "chunk_key_encoding": {"name": "v2", "configuration": {"separator": array.get("dimension_separator", ".")}},
        "fill_value": array.get("fill_value") or 0,
        "codecs": codecs,
        "attributes": plain,
        "dimension_names": attributes.get("_ARRAY_DIMENSIONS"),
    }


def _v2_codecs(listed: Any) -> Iterator[dict[str, Any]]:
    for codec in listed if isinstance(listed, list) else ():
        if isinstance(codec, Mapping):
            yield {"name": str(codec.get("id")), "configuration": codec}


def _v2_type(dtype: Any) -> Any:
    """The name that format 3 has for a NumPy type; what it has none for stays as it is."""
    if not isinstance(dtype, str) or len(dtype) < 2:
        return dtype
    kind, size = V2_KINDS.get(dtype[1]), dtype[2:]
    if kind is None or not size.isascii() or not size.isdecimal() or len(size) > 2:
        return {"M": "numpy.datetime64", "m": "numpy.timedelta64", "O": "string", "U": "fixed_length_utf32"}.get(dtype[1], dtype)
    name = kind if kind == "bool" else f"{kind}{int(size) * 8}"
    return name if is_data_type(name) else dtype
