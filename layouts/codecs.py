"""What `zarr.json` says: codecs by profile and dtype, CF attributes by column, whole documents of groups and arrays."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Literal

import msgspec
import numpy as np

from layouts.columns import Column, Kind
from layouts.schema import ArrayRole, ArraySpec

TIME_UNITS = "nanoseconds since 1970-01-01"
TIME_CALENDAR = "proleptic_gregorian"
CONVENTIONS = "CF-1.11"

type CodecName = Literal["pcodec", "blosc", "zstd"]

_CRC32C: dict[str, Any] = {"name": "crc32c"}
_LITTLE_ENDIAN: dict[str, Any] = {"name": "bytes", "configuration": {"endian": "little"}}
_ONE_BYTE: dict[str, Any] = {"name": "bytes"}


class Profile(StrEnum):
    """Which codecs a dataset uses: the densest, or only those that every Zarr implementation has."""

    DENSE = "dense"
    PORTABLE = "portable"


class CodecSpec(msgspec.Struct, frozen=True, kw_only=True):
    """How an inner chunk becomes bytes, before its checksum: the compressor's name and its configuration in `zarr.json`."""

    name: CodecName
    dtype: str
    configuration: dict[str, Any]

    def chain(self) -> list[dict[str, Any]]:
        """The inner codecs as `zarr.json` lists them, the checksum last."""
        if self.name == "pcodec":
            return [{"name": "numcodecs.pcodec", "configuration": self.configuration}, _CRC32C]
        serializer = _ONE_BYTE if np.dtype(self.dtype).itemsize == 1 else _LITTLE_ENDIAN
        return [serializer, {"name": self.name, "configuration": self.configuration}, _CRC32C]


def codec_for(profile: Profile | str, dtype: str, *, payload: bool = False) -> CodecSpec:
    """The codec of an array; `payload` for the bytes of text and payloads (FORMAT.md section 9)."""
    profile = Profile(profile)
    size = np.dtype(dtype).itemsize
    if payload:
        if profile is Profile.DENSE:
            return CodecSpec(name="zstd", dtype=dtype, configuration={"level": 9, "checksum": False})
        return _blosc(dtype, shuffle="noshuffle")
    if size == 1:
        return _blosc(dtype, shuffle="bitshuffle")
    if profile is Profile.DENSE:
        return CodecSpec(name="pcodec", dtype=dtype, configuration={"level": 8})
    # Prices repeat the doubles of their ticks, which any shuffle tears apart: 2.4 times smaller without, on 1.3 M real quotes.
    return _blosc(dtype, shuffle="noshuffle" if np.dtype(dtype).kind == "f" else "bitshuffle")


def _blosc(dtype: str, *, shuffle: str) -> CodecSpec:
    # Blosc's level 5 is zstd's 9; its 9 is zstd's 22, which no recorder can keep up with.
    size = np.dtype(dtype).itemsize
    configuration = {"typesize": size, "cname": "zstd", "clevel": 5, "shuffle": shuffle, "blocksize": 0}
    return CodecSpec(name="blosc", dtype=dtype, configuration=configuration)


def array_metadata(
    spec: ArraySpec, *, length: int, chunk: int, shard: int, profile: Profile | str, attributes: Mapping[str, Any]
) -> dict[str, Any]:
    """The whole `zarr.json` of an array: `length` elements along the first dimension, `chunk` per inner chunk, `shard` per shard."""
    codec = codec_for(profile, spec.dtype, payload=spec.is_payload)
    sharding = {
        "chunk_shape": [chunk, *spec.inner_shape],
        "codecs": codec.chain(),
        "index_codecs": [_LITTLE_ENDIAN, _CRC32C],
        "index_location": "end",
    }
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [length, *spec.inner_shape],
        "data_type": spec.dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [shard, *spec.inner_shape]}},
        "chunk_key_encoding": {"name": "v2", "configuration": {"separator": "."}},
        "fill_value": {"b": False, "f": 0.0}.get(np.dtype(spec.dtype).kind, 0),
        "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
        "attributes": dict(attributes),
        "dimension_names": list(spec.dimensions),
    }


def group_metadata(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The whole `zarr.json` of a group."""
    return {"zarr_format": 3, "node_type": "group", "attributes": dict(attributes)}


def column_attributes(column: Column, labels: Sequence[str] = (), *, role: ArrayRole = "values") -> dict[str, Any]:
    """CF attributes of one of a column's arrays; `labels` are what a dictionary column's codes index.

    Values carry what the column says of itself: description as `long_name`, and its own attributes.
    """
    if role == "valid":
        return {}
    if role == "count":
        encoding = {"encoding": "utf-8"} if column.kind is Kind.TEXT else {}
        return {"sample_dimension": f"{column.name}_byte", **encoding}
    attributes: dict[str, Any] = {"long_name": column.description} if column.description else {}
    match column.kind:
        case Kind.TIME:
            attributes |= {"units": TIME_UNITS, "calendar": TIME_CALENDAR}
        case Kind.VOCABULARY:
            attributes |= {"flag_values": [value for _, value in column.vocabulary], "flag_meanings": _meanings(column)}
        case Kind.FLAGS:
            attributes |= {"flag_masks": [value for _, value in column.vocabulary], "flag_meanings": _meanings(column)}
        case Kind.DICTIONARY:
            attributes["labels"] = list(labels)
        case Kind.DECIMAL:
            attributes["decimal_places"] = column.places
        case Kind.TEXT:
            attributes["encoding"] = "utf-8"
        case _:
            pass
    if column.unit is not None and column.kind is not Kind.TIME:
        attributes["units"] = column.unit
    return attributes | column.attributes


def _meanings(column: Column) -> str:
    return " ".join(meaning for meaning, _ in column.vocabulary)
