"""`export-hdf5` and `import-hdf5`: files for programs that know no Zarr, and from such."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from arraystore.cli.addresses import datasets_matching
from arraystore.cli.command import (
    at_version,
    columns_option,
    command,
    end_option,
    no_match,
    some_patterns_argument,
    split_address,
    start_option,
    version_option,
    with_store,
)
from arraystore.cli.output import count, counted, left, print_json, right, size, table
from arraystore.cli.progress import Step, progress
from arraystore.errors import InvalidInput, Problem

if TYPE_CHECKING:
    from arraystore.hdf5.exporting import ExportProgress
    from arraystore.store import Store

__all__ = ["export_hdf5", "import_hdf5"]


@command(
    "export-hdf5",
    examples=[
        "arraystore export-hdf5 canonical/binance-usdm/trades/BTCUSDT -o trades.h5 --root data --start 2024-08-08 --end 2024-08-09",
        "arraystore export-hdf5 'canonical/binance-usdm' -o everything.h5 --root data --flavor fast",
    ],
)
@some_patterns_argument
@click.option("-o", "--output", "path", metavar="FILE", required=True, help="The file to make.")
@start_option
@end_option
@columns_option
@click.option(
    "--flavor",
    type=click.Choice(["portable", "fast", "pandas"]),
    default="portable",
    show_default=True,
    help="For any reader; for readers with Blosc's filter; for pandas.read_hdf.",
)
@click.option("--overwrite", is_flag=True, help="Replace a file of that name, once the new one is whole.")
@version_option
@with_store
def export_hdf5(
    store: "Store",
    *,
    patterns: tuple[str, ...],
    path: str,
    start: str | None,
    end: str | None,
    columns: list[str] | None,
    flavor: str,
    overwrite: bool,
    version: str | None,
    as_json: bool,
) -> None:
    """Write datasets to one HDF5 file.

    One dataset fills the root group; of several each has a group named by its class and key. The file appears only when it is whole, and
    has been read back and compared with what was read from the store.

    A PATTERN names datasets as for ls.
    """
    import arraystore

    found = list(datasets_matching(store, patterns))
    if not found:
        raise no_match(store, patterns)
    views = [at_version(each, version) for each in found]
    chosen = views[0] if len(views) == 1 else views
    with progress(_exported) as tell:
        done = arraystore.export_hdf5(path, chosen, start, end, columns, flavor=flavor, overwrite=overwrite, progress=tell)
    if as_json:
        print_json(done.to_json())
        return
    table((left("group"), right("rows")), [[group, count(rows)] for group, rows in done.rows.items()])
    click.echo(f"\n{counted(sum(done.rows.values()), 'row')}, {size(done.bytes)} in {done.path}")


def _exported(now: "ExportProgress") -> Step:
    return Step(done=now.rows, unit="rows", total=now.most_rows, note=now.group)


@command(
    "import-hdf5",
    examples=[
        "arraystore import-hdf5 trades.h5 --root data --role data-quality",
        "arraystore import-hdf5 bars.h5 canonical/vendor/trades/EURUSD --schema trades --map time=t --map price=p … --time time=us",
    ],
)
@click.argument("path", metavar="FILE")
@click.argument("address", metavar="[CLASS/KEY]", required=False)
@click.option("--group", metavar="GROUP", default="/", help="The group in the file, where it holds several.")
@click.option("--schema", metavar="NAME", help="A shipped schema for a dataset that must be made; an export of ours brings its own.")
@click.option("--map", "pairs", metavar="COLUMN=DATASET", multiple=True, help="A column and the dataset in the file, or DATASET:FIELD.")
@click.option("--time", "units", metavar="COLUMN=UNIT", multiple=True, help="What a mapped column counts since 1970: ns, us, ms, s.")
@click.option("--dry-run", is_flag=True, help="Read and check everything, and write nothing.")
@with_store
def import_hdf5(
    store: "Store",
    *,
    path: str,
    address: str | None,
    group: str,
    schema: str | None,
    pairs: tuple[str, ...],
    units: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Append the rows of an HDF5 file to a dataset, in one commit.

    The file is an export of ours, which comes back bit for bit to where it was from unless CLASS/KEY says otherwise; a table that pandas
    wrote; or any file of datasets, with --map.
    """
    import arraystore

    mapping, times = _pairs(pairs, "--map") or None, _pairs(units, "--time")
    found = arraystore.open_hdf5(path, group, mapping=mapping, times=times)
    if address is None and found.key is None:
        raise InvalidInput(f"{path!r} doesn't say what its rows are of: give CLASS/KEY", "CLASS/KEY")
    storage_class, key = split_address(address) if address is not None else (found.storage_class or "", found.key)
    made = None if schema is None else arraystore.schema_by_name(schema)

    def read(rows: int) -> Step:
        return Step(done=rows, unit="rows", total=found.rows, note=found.group)

    with progress(read) as tell:
        surface = store.surface(storage_class)
        receipt = arraystore.import_hdf5(path, surface, key, group=group, schema=made, mapping=mapping, times=times, progress=tell)
    if as_json:
        print_json({"path": path, "group": found.group, "rows": found.rows, "version": receipt.version, "dry_run": dry_run})
        return
    click.echo(f"{counted(found.rows, 'row')} of {path} {'would be' if dry_run else 'are'} version {receipt.version}")


def _pairs(given: Iterable[str], option: str) -> dict[str, str]:
    """What `NAME=VALUE` options say."""
    pairs = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not (name and equals and value):
            raise InvalidInput(Problem(option, f"{pair!r} isn't COLUMN=…"))
        pairs[name] = value
    return pairs
