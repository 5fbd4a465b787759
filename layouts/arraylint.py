"""What of one Zarr array's `zarr.json` isn't as the layout says; the document may be anybody's and hold anything."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from layouts.chunking import CHUNK_BYTES, PAYLOAD_CHUNK_BYTES, SHARD_BYTES
from layouts.codecs import TIME_CALENDAR, TIME_UNITS, Profile, codec_for
from layouts.columnrules import DECODED_UNITS, NAME_LIMIT, NAME_PATTERN
from layouts.columns import INTEGER_DTYPES
from layouts.deviations import Deviation, deviation, shown
from layouts.schema import LEVEL_DIMENSION

DATA_TYPES = frozenset(("bool", "float32", "float64", *INTEGER_DTYPES))
CHUNK_LIMIT_BYTES = 4 << 20
SIZE_LIMIT = 1 << 62
LISTED = 6
KNOWN_FIELDS = frozenset(
    (
        *("zarr_format", "node_type", "shape", "data_type", "chunk_grid", "chunk_key_encoding", "fill_value", "codecs"),
        *("attributes", "dimension_names", "storage_transformers", "consolidated_metadata"),
    )
)
OBJECT_CODECS = frozenset(("pickle", "json2", "msgpack2", "vlen-utf8", "vlen-bytes", "vlen-array", "categorize"))
LOSSY_CODECS = frozenset(("bitround", "quantize", "fixedscaleoffset", "astype", "zfpy", "pcodec_lossy", "scale_offset", "cast_value"))
CHANGING_ATTRIBUTES = ("_FillValue", "missing_value", "scale_factor", "add_offset", "_Unsigned")


def array_deviations(place: str, name: str, document: Mapping[str, Any]) -> Iterator[Deviation]:
    """Everything about one array by itself; of one without a name in a group, `name` is empty."""
    if name:
        yield from name_deviations(place, name)
    yield from extension_deviations(place, document)
    attributes = document.get("attributes", {})
    yield from _attribute_deviations(place, attributes if isinstance(attributes, Mapping) else {})
    yield from _key_encoding(place, document.get("chunk_key_encoding"))
    shape: Any = document.get("shape")
    dtype: Any = document.get("data_type")
    yield from _dimension_deviations(place, shape, document.get("dimension_names"))
    if not is_data_type(dtype):
        yield deviation("data-type", place, f"the data type {shown(dtype)}", remedy=_remedy_of(dtype))
    elif is_time(document):
        yield from _time_deviations(place, dtype, attributes)
    fill = document.get("fill_value")
    if is_data_type(dtype) and (fill != 0 or isinstance(fill, str)):
        yield deviation("fill-value", place, f"fill value {shown(fill)}")
    if is_shape(shape):
        yield from _storage_deviations(place, document, list(shape), payload=is_payload(name, document))


def is_data_type(dtype: object) -> bool:
    """Whether a data type is one of the layout's."""
    return isinstance(dtype, str) and dtype in DATA_TYPES


def is_shape(shape: object) -> bool:
    """Whether this is the shape of an array that can be."""
    return (
        isinstance(shape, list)
        and 1 <= len(shape) <= 2
        and all(type(length) is int and 0 <= length < SIZE_LIMIT for length in shape)
        and math.prod(shape) < SIZE_LIMIT
    )


def is_time(document: Mapping[str, Any]) -> bool:
    """Whether CF readers, or the data type, take the values for moments."""
    attributes, dtype = document.get("attributes"), document.get("data_type")
    units = attributes.get("units") if isinstance(attributes, Mapping) else None
    return (isinstance(units, str) and " since " in units) or _type_name(dtype) in ("numpy.datetime64", "datetime64")


def is_payload(name: str, document: Mapping[str, Any]) -> bool:
    """Whether these are the bytes of texts."""
    return document.get("dimension_names") == [f"{name}_byte"] and document.get("data_type") == "uint8"


def name_deviations(place: str, name: str) -> Iterator[Deviation]:
    """Whether an array may be called so."""
    if not (NAME_PATTERN.match(name) and len(name) <= NAME_LIMIT):
        yield deviation("name", place, f"the name {shown(name)}")


def extension_deviations(place: str, document: Mapping[str, Any]) -> Iterator[Deviation]:
    """What a reader would have to know that the specification doesn't tell."""
    for name, value in document.items():
        optional = isinstance(value, Mapping) and value.get("must_understand") is False
        if name not in KNOWN_FIELDS and not optional:
            yield deviation("extension", place, f"the field {shown(name)}")
    if document.get("storage_transformers"):
        yield deviation("extension", place, f"storage transformers {shown(document['storage_transformers'])}")


def _attribute_deviations(place: str, attributes: Mapping[str, Any]) -> Iterator[Deviation]:
    for name in CHANGING_ATTRIBUTES:
        if name in attributes:
            yield deviation("cf-decoding", place, f"the attribute {name} = {shown(attributes[name])}")
    units = attributes.get("units")
    if isinstance(units, str) and units in DECODED_UNITS:
        found = f"units {units!r}, which xarray decodes into durations"
        yield deviation("cf-decoding", place, found, remedy=f"write units {DECODED_UNITS[units]!r}")


def _key_encoding(place: str, encoding: Any) -> Iterator[Deviation]:
    name = _name_of(encoding)
    separator = _configuration(encoding).get("separator", "." if name == "v2" else "/")
    if (name, separator) != ("v2", "."):
        yield deviation("chunk-keys", place, f"chunk keys {shown(name)} with separator {shown(separator)}")


def _dimension_deviations(place: str, shape: Any, names: Any) -> Iterator[Deviation]:
    if not is_shape(shape):
        yield deviation("shape", place, f"the shape {shown(shape)}")
        return
    if not isinstance(names, list) or len(names) != len(shape) or not all(isinstance(name, str) and name for name in names):
        yield deviation("dimension-names", place, "no dimension names" if names is None else f"dimension names {shown(names)}")
    elif len(names) == 2 and names[1] != LEVEL_DIMENSION:
        yield deviation("dimensions", place, f"the second dimension {shown(names[1])}")


def _time_deviations(place: str, dtype: str, attributes: Mapping[str, Any]) -> Iterator[Deviation]:
    units, calendar = attributes.get("units"), attributes.get("calendar")
    if dtype != "int64":
        yield deviation("time", place, f"times as {dtype}", remedy="round them to int64 nanoseconds yourself, and append them")
    if units != TIME_UNITS:
        yield deviation("time", place, f"units {shown(units)}")
    elif calendar != TIME_CALENDAR:
        yield deviation("time", place, f"the calendar {shown(calendar)}")


def _storage_deviations(place: str, document: Mapping[str, Any], shape: list[int], *, payload: bool) -> Iterator[Deviation]:
    """Shards, chunks and codecs."""
    grid, codecs = document.get("chunk_grid"), document.get("codecs")
    outer = _lengths(_configuration(grid).get("chunk_shape"), len(shape))
    if _name_of(grid) != "regular" or outer is None:
        yield deviation("chunk-grid", place, f"the chunk grid {shown(grid)}")
        return
    if not isinstance(codecs, list) or not codecs:
        yield deviation("codec", place, f"the codecs {shown(codecs)}")
        return
    dtype = document.get("data_type")
    if len(codecs) != 1 or _name_of(codecs[0]) != "sharding_indexed":
        chunks = math.prod(-(-length // chunk) for length, chunk in zip(shape, outer, strict=True))
        yield deviation("unsharded", place, f"no shards, and {chunks:,} objects of one chunk each")
        yield from _codec_deviations(place, codecs, dtype, payload=payload)
        yield from _chunk_deviations(place, shape, outer, dtype, payload=payload)
        return
    sharding = _configuration(codecs[0])
    yield from _shard_index(place, sharding)
    inner = _lengths(sharding.get("chunk_shape"), len(shape))
    if inner is None or any(shard % chunk for shard, chunk in zip(outer, inner, strict=True)):
        yield deviation("chunk-grid", place, f"shards of {shown(outer)} and chunks of {shown(sharding.get('chunk_shape'))}")
        return
    within = sharding.get("codecs")
    yield from _codec_deviations(place, within if isinstance(within, list) else [], dtype, payload=payload)
    yield from _chunk_deviations(place, shape, inner, dtype, payload=payload)
    size = math.prod(map(min, outer, shape)) * _itemsize(dtype)
    if size > SHARD_BYTES and outer != inner:
        yield deviation("shard-size", place, f"shards of {size:,} bytes decoded")


def inner_chunk(document: Mapping[str, Any]) -> Any:
    """The shape of the chunks within a shard; None for an array without shards."""
    codecs = document.get("codecs")
    return _configuration(codecs[0]).get("chunk_shape") if isinstance(codecs, list) and codecs else None


def _shard_index(place: str, sharding: Mapping[str, Any]) -> Iterator[Deviation]:
    codecs = sharding.get("index_codecs")
    names = list(map(_name_of, codecs)) if isinstance(codecs, list) else []
    location = sharding.get("index_location", "end")
    if names != ["bytes", "crc32c"] or location != "end":
        yield deviation("shard-index", place, f"an index at the {shown(location)}, with codecs {shown(names)}")


def _codec_deviations(place: str, codecs: list[Any], dtype: Any, *, payload: bool) -> Iterator[Deviation]:
    names = [_name_of(codec) for codec in codecs]
    plain = [name.removeprefix("numcodecs.") for name in names]
    if objects := sorted(OBJECT_CODECS.intersection(plain)):
        yield deviation("object-codec", place, f"the codec {objects[0]}")
    if lossy := sorted(LOSSY_CODECS.intersection(plain)):
        yield deviation("lossy-codec", place, f"the codec {lossy[0]}")
    if "transpose" in plain:
        yield deviation("byte-order", place, "elements in another order (transpose)")
    if any(_name_of(codec) == "bytes" and _configuration(codec).get("endian") == "big" for codec in codecs):
        yield deviation("byte-order", place, "big-endian bytes")
    if names[-1:] != ["crc32c"]:
        yield deviation("checksum", place, f"codecs {_listed(names)}")
    if is_data_type(dtype) and not objects and not lossy:
        wanted = [_without_checksum(codec_for(profile, dtype, payload=payload).chain()) for profile in Profile]
        if (found := _without_checksum(codecs)) not in wanted:
            either = " (dense) or ".join(map(_listed, wanted)) + " (portable)" if wanted[0] != wanted[1] else _listed(wanted[0])
            yield deviation("codec", place, f"codecs {_listed(found)}", wanted=f"codecs {either}")


def _without_checksum(codecs: Sequence[Any]) -> list[str]:
    return [name for name in map(_name_of, codecs) if name != "crc32c"]


def _chunk_deviations(place: str, shape: list[int], chunk: list[int], dtype: Any, *, payload: bool) -> Iterator[Deviation]:
    if chunk[1:] != shape[1:]:
        yield deviation("chunk-grid", place, f"chunks of {shown(chunk)} in an array of {shown(shape)}")
    if chunk[0] > max(1, shape[0]):
        yield deviation("chunk-padding", place, f"chunks of {chunk[0]:,} in an array of {shape[0]:,}")
    if not is_data_type(dtype):
        return
    size, budget = math.prod(chunk) * _itemsize(dtype), PAYLOAD_CHUNK_BYTES if payload else CHUNK_BYTES
    if size > CHUNK_LIMIT_BYTES and chunk[0] > 1:
        yield deviation("chunk-limit", place, f"chunks of {size:,} bytes decoded")
    elif (size > 2 * budget and chunk[0] > 1) or (size < budget // 2 and chunk[0] < shape[0]):
        yield deviation("chunk-size", place, f"chunks of {size:,} bytes decoded", wanted=f"chunks of about {budget:,} bytes")


def chunk_objects(document: Mapping[str, Any], limit: int) -> dict[str, list[str]] | None:
    """Names of the chunks' objects by the folder below the array that holds them; None for more than a limit, or if nobody can tell."""
    shape: Any = document.get("shape")
    grid, encoding = document.get("chunk_grid"), document.get("chunk_key_encoding")
    chunk = _lengths(_configuration(grid).get("chunk_shape"), len(shape)) if is_shape(shape) else None
    if chunk is None or _name_of(encoding) not in ("v2", "default"):
        return None
    counts = [-(-length // per) for length, per in zip(shape, chunk, strict=True)]
    if math.prod(counts) > limit:
        return None
    separator = _configuration(encoding).get("separator", "." if _name_of(encoding) == "v2" else "/")
    found: dict[str, list[str]] = {}
    for place in np.ndindex(*counts):
        path = str(separator).join(["c"] * (_name_of(encoding) == "default") + [str(number) for number in place])
        folder, _, name = path.rpartition("/")
        found.setdefault(folder, []).append(name)
    return found


def _remedy_of(dtype: Any) -> str:
    match _type_name(dtype):
        case "numpy.datetime64" | "datetime64" | "numpy.timedelta64":
            return "append it to a time column (int64 ns since 1970), or as a number with its unit"
        case "string" | "fixed_length_utf32" | "variable_length_utf8":
            return "append it to a dictionary column (few labels), a vocabulary, or a text column"
        case "bytes" | "variable_length_bytes" | "null_terminated_bytes" | "raw_bytes":
            return "append it to a bytes column"
        case "float16" | "complex64" | "complex128":
            return "append it as float32 or float64 (real and imaginary part by themselves)"
    return "append it to columns of plain types"


def _type_name(dtype: Any) -> str:
    return dtype if isinstance(dtype, str) else _name_of(dtype)


def _name_of(value: Any) -> str:
    """The name of a codec, grid or encoding: short text, or an object that has it."""
    name = value.get("name") if isinstance(value, Mapping) else value
    return name if isinstance(name, str) else shown(name)


def _configuration(value: Any) -> Mapping[str, Any]:
    found = value.get("configuration") if isinstance(value, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _lengths(value: Any, dimensions: int) -> list[int] | None:
    """Lengths of a chunk, if they are that."""
    fits = isinstance(value, list) and len(value) == dimensions and all(type(each) is int and 0 < each < SIZE_LIMIT for each in value)
    return list(value) if fits else None


def _itemsize(dtype: Any) -> int:
    return np.dtype(dtype).itemsize if is_data_type(dtype) else 1


def _listed(names: Sequence[str]) -> str:
    more = [f"… ({len(names):,} in all)"] if len(names) > LISTED else []
    return ", ".join([*map(shown_name, names[:LISTED]), *more]) or "none"


def shown_name(name: str) -> str:
    """A name that others wrote, bare where it is harmless."""
    return name if name.isprintable() and len(name) <= 40 else shown(name)
