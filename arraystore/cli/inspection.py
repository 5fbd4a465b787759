"""`info`, `manifest` and `log`: one dataset, its windows, and how it came to be what it is."""

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from arraystore.cli.command import address_of, command, dataset_at, key_argument, version_option, with_store
from arraystore.cli.extent import extent
from arraystore.cli.history import log_of, newest_versions
from arraystore.cli.output import as_text, count, counted, facts, left, print_json, right, size, table
from arraystore.cli.series import series_of

if TYPE_CHECKING:
    from arraystore.datasets.sizes import ColumnSize, Sizes
    from arraystore.datasets.view import DatasetView
    from arraystore.store import Store

__all__ = ["info", "log", "manifest"]

LOG_LENGTH = 20
SHOWN = 4  # datasets by name

_SCHEMA_COLUMNS = (left("column"), left("kind"), left("dtype"), left("null"), left("clock"), left("unit"), left("codec"), right("ratio"))
_WINDOW_COLUMNS = (
    left("window"),
    right("rows"),
    right("size"),
    left("state"),
    right("segments"),
    right("version"),
    left("first"),
    left("last"),
)
_SEGMENT_COLUMNS = (left("segment"), right("rows"), right("size"))
_LOG_COLUMNS = (right("version"), left("time"), left("role"), left("operation"), right("rows"), left("windows"), left("reason"))


@command("info", examples=["arraystore info canonical/binance-usdm/trades/BTCUSDT --root data"])
@key_argument
@version_option
@with_store
def info(store: "Store", *, key: str, version: str | None, as_json: bool) -> None:
    """Show a dataset as a whole.

    Tells schema, codecs, windows, versions, how small each column is kept, what it
    was made from, and what was made of it.
    """
    document = _info(store, dataset_at(store, key, version))
    if as_json:
        print_json(document)
        return
    facts(_info_facts(document))
    for series in document["series"]:
        schema = series["schema"]
        click.echo(f"\nschema {schema['name']}: {schema['order']} order, axis {schema['axis']}, window {schema['window']}")
        table(_SCHEMA_COLUMNS, [[as_text(cell) for cell in column.values()] for column in series["columns"]])


def _info(store: "Store", dataset: "DatasetView") -> dict[str, Any]:
    log = log_of(store, dataset)
    (newest,) = newest_versions(store, dataset, 1)
    manifests = list(dataset.manifests())
    from arraystore.datasets.sizes import sizes_of

    sizes = sizes_of(dataset)
    return {
        "dataset": address_of(dataset.storage_class, dataset.key),
        "location": dataset.location,
        "uuid": dataset.uuid,
        "version": dataset.version,
        "digest": dataset.digest,
        "committed": newest["time"],
        "versions_kept": dataset.version - log.floor(),
        "sealed": dataset.sealed,
        "profile": str(dataset.profile),
        **extent(dataset),
        "completeness": dict(Counter(str(manifest.completeness) for manifest in manifests)),
        "segments": sum(len(manifest.segments) for manifest in manifests),
        "decoded_bytes": sizes.decoded,
        "ratio": _ratio(sizes.decoded, dataset.bytes),
        "made_from": sorted({address_of(pin.storage_class, pin.key) for manifest in manifests for pin in manifest.lineage}),
        "made_of_it": sorted({address_of(each.storage_class, each.key) for each in store.dependents(dataset)}),
        "attributes": dict(dataset.attributes),
        "series": [_with_ratios(series, sizes) for series in series_of(dataset)],
    }


def _with_ratios(series: dict[str, Any], sizes: "Sizes") -> dict[str, Any]:
    """A series whose columns tell how many times smaller than decoded they are kept; None where all rows travel in commits."""
    columns = [{**column, "ratio": _ratio_of(sizes.columns.get(column["name"]))} for column in series["columns"]]
    return {**series, "columns": columns}


def _ratio_of(column: "ColumnSize | None") -> float | None:
    return None if column is None else _ratio(column.decoded, column.stored)


def _ratio(decoded: int, stored: int) -> float | None:
    return round(decoded / stored, 2) if stored else None


def _info_facts(document: dict[str, Any]) -> list[tuple[str, str]]:
    completeness = ", ".join(f"{number} {name}" for name, number in sorted(document["completeness"].items()))
    ratio = f", {document['ratio']} times smaller than decoded ({size(document['decoded_bytes'])})" if document["ratio"] else ""
    told = {
        "dataset": document["dataset"],
        "location": document["location"],
        "uuid": document["uuid"],
        "version": f"{document['version']} of {document['committed']}" + (", sealed" if document["sealed"] else ""),
        "profile": document["profile"],
        "windows": f"{count(document['windows'])} ({completeness})" if completeness else "none",
        "rows": count(document["rows"]),
        "span": f"{document['first']} to {document['last']}" if document["first"] else "",
        "size": f"{size(document['bytes'])} in {counted(document['segments'], 'segment')}{ratio}",
        "made from": _shortened(document["made_from"]),
        "made of it": _shortened(document["made_of_it"]),
        "files": count(document["files"]) if document["files"] else "",
        "attributes": as_text(document["attributes"] or None),
    }
    return [(name, value) for name, value in told.items() if value]


def _shortened(addresses: list[str]) -> str:
    more = f" and {counted(len(addresses) - SHOWN, 'dataset')} more (`arraystore lineage`)" if len(addresses) > SHOWN else ""
    return f"{', '.join(addresses[:SHOWN])}{more}"


@command(
    "manifest",
    examples=[
        "arraystore manifest raw/binance-usdm/market/rec-1 --root data",
        "arraystore manifest raw/binance-usdm/market/rec-1 2024-08-08 --root data --json",
    ],
)
@key_argument
@click.argument("window", required=False)
@version_option
@with_store
def manifest(store: "Store", *, key: str, window: str | None, version: str | None, as_json: bool) -> None:
    """Show Dataset Manifests.

    All of a dataset in short, or the one of WINDOW with clocks, coverage, lineage and segments.
    """
    dataset = dataset_at(store, key, version)
    manifests = {name: dataset.manifest(name).to_json() for name in (dataset.windows() if window is None else [window])}
    if as_json:
        told = {"dataset": address_of(dataset.storage_class, dataset.key), "version": dataset.version}
        print_json(told | {"manifests": list(manifests.values())})
    elif window is None:
        table(_WINDOW_COLUMNS, [_window_cells(name, found, dataset.schema_of(name).axis) for name, found in manifests.items()])
    else:
        _show_manifest(manifests[window])


def _window_cells(name: str, found: dict[str, Any], axis: str) -> list[str]:
    first, last = found["clocks"].get(axis, ("", ""))
    return [
        name,
        count(found["rows"]),
        size(found["bytes"]),
        found["completeness"],
        count(len(found["segments"])),
        str(found["version"]),
        first,
        last,
    ]


def _show_manifest(found: dict[str, Any]) -> None:
    facts(
        [
            ("window", found["window"]),
            ("location", found["location"]),
            ("version", str(found["version"])),
            ("completeness", found["completeness"]),
            ("rows", count(found["rows"])),
            ("size", size(found["bytes"])),
            *((f"clock {clock}", f"{first} to {last}") for clock, (first, last) in found["clocks"].items()),
            *(("coverage", f"{start} to {stop}") for start, stop in found["coverage"]),
            *(("made from", _pin_text(pin)) for pin in found["lineage"]),
            *((f"attribute {name}", as_text(value)) for name, value in found["attributes"].items()),
        ]
    )
    click.echo()
    table(_SEGMENT_COLUMNS, [_segment_cells(entry) for entry in found["segments"]])


def _segment_cells(entry: dict[str, Any]) -> list[str]:
    name = entry.get("segment") or f"in the commit of version {entry['tail']}"
    return [name, count(entry["rows"]), size(entry["bytes"])]


def _pin_text(pin: dict[str, Any]) -> str:
    return f"{address_of(pin['class'], pin['key'])} version {pin['version']}"


@command("log", examples=["arraystore log canonical/binance-usdm/trades/BTCUSDT --root data -n 5"])
@key_argument
@click.option("-n", "--number", type=click.IntRange(min=1), default=LOG_LENGTH, show_default=True, help="Show this many versions.")
@with_store
def log(store: "Store", *, key: str, number: int, as_json: bool) -> None:
    """Show the versions of a dataset.

    Newest first: who did what, when and why.
    """
    dataset = dataset_at(store, key)
    versions = newest_versions(store, dataset, number)
    if as_json:
        print_json({"dataset": address_of(dataset.storage_class, dataset.key), "version": dataset.version, "versions": versions})
        return
    table(_LOG_COLUMNS, map(_log_cells, versions))


def _log_cells(version: dict[str, Any]) -> list[str]:
    windows = version["windows"]
    named = windows[0] if len(windows) == 1 else f"{windows[0]} … {windows[-1]}" if windows else ""
    return [
        str(version["version"]),
        version["time"],
        version["role"],
        version["operation"],
        count(version["rows"]),
        named,
        version["reason"],
    ]
