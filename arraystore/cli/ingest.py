"""`ingest`: vendors' files into a dataset."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from arraystore.cli.command import SettingOption, command, opener_for, root_option, tell_dry_run
from arraystore.cli.output import count, counted, left, print_json, right, table
from arraystore.cli.progress import Step, progress, say
from arraystore.errors import InvalidInput, Problem
from layouts.classes import Action, Role, parse_storage_class, who_may

if TYPE_CHECKING:
    from arraystore.ingest import FileReport, IngestReport

__all__ = ["ingest"]

STATES = {"ingested": "ingested", "known": "was in already", "empty": "no rows", "checked": "would be ingested"}


def _list(context: click.Context, _: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 - as click calls it
    """Print the shipped mappings, and end."""
    if not wanted:
        return
    from arraystore.ingest import shipped_mappings

    shipped = shipped_mappings()
    if context.params.get("as_json"):
        print_json(shipped)
    else:
        table((left("mapping"), left("for")), [[name, title] for name, title in shipped.items()])
    context.exit()


@command(
    "ingest",
    examples=[
        "arraystore ingest quotes/*_quote.zip --mapping oanda-xauusd --root data",
        "arraystore ingest day.csv.gz --mapping my-venue.toml --into canonical/my-venue/trades/BTCUSDT --root data --dry-run",
        "arraystore ingest --list",
    ],
)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="FILES...")
@click.option("--mapping", metavar="NAME|FILE.toml", help="How the files are read: a shipped mapping, or a TOML file.")
@click.option(
    "--into", metavar="CLASS/KEY", help="The dataset, made if there is none; may name parts of the file's name, such as {symbol}."
)
@root_option
@click.option(
    "--role",
    cls=SettingOption,
    type=click.Choice([role.value for role in Role]),
    envvar="ARRAYSTORE_ROLE",
    show_envvar=True,
    help="Act as this role; by default as the first that may write there.",
)
@click.option("--set", "settings", metavar="NAME=VALUE", multiple=True, help="Give a parameter of the mapping a value.")
@click.option("--resume", is_flag=True, help="Pass over files that are in already, known by content and mapping.")
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="Read so many files at once.")
@click.option("--dry-run", is_flag=True, help="Read and check every row, and write nothing.")
@click.option("--completeness", type=click.Choice(["open", "partial", "complete"]), help="State this of each window that a file touches.")
@click.option("--reopen", is_flag=True, help="Allow adding to windows that are complete, in a new version.")
@click.option("--keep-originals", is_flag=True, help="Keep each file as it is beside its rows, as an artifact.")
@click.option("--list", "list_mappings", is_flag=True, expose_value=False, callback=_list, help="List the shipped mappings.")
def ingest(
    *,
    files: tuple[Path, ...],
    mapping: str | None,
    into: str | None,
    root: str,
    role: str | None,
    settings: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Load vendor files into a dataset.

    CSV (plain, gzip, zstd, zip), Parquet, Arrow and Databento files, as a mapping says (docs/ingest.md); larger than memory is fine.

    Each file is one commit: all of its rows or none. A line that can't be taken is named with its number and text.
    """
    from arraystore.ingest import ingest as load
    from arraystore.ingest import load_mapping
    from arraystore.store import open_store

    if mapping is None:
        raise click.UsageError("Missing option '--mapping'; `arraystore ingest --list` tells the shipped ones.")
    _, loaded = load_mapping(mapping)
    dry_run = bool(options["dry_run"])
    store = open_store(root, role=role or _writer_of(into or loaded.into), opener=opener_for(dry_run=dry_run))
    parameters = _parse_settings(settings)

    done = _Done(files=len(files))

    def told(report: "FileReport") -> None:
        done.files_done += 1
        if not as_json and len(files) > 1:
            say(f"{report.file}: {STATES[report.state]}, {counted(report.rows, 'row')}")

    with progress(_Done.step) as show:
        report = load(store, files, mapping=mapping, into=into, parameters=parameters, progress=told, tell=done.teller(show), **options)
    _print(report, dry_run=dry_run, as_json=as_json)
    tell_dry_run(dry_run=dry_run, as_json=as_json)


@dataclass(slots=True)
class _Done:
    """Rows that were read and files that are done, so far."""

    files: int
    rows: int = 0
    files_done: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def teller(self, show: Callable[["_Done"], None]) -> Callable[[int], None]:
        """What counts rows, in whatever thread they are read."""

        def add(rows: int) -> None:
            with self._lock:
                self.rows += rows
                show(self)

        return add

    def step(self) -> Step:
        """The same, to be shown."""
        return Step(done=self.rows, unit="rows", note=f"{self.files_done} of {counted(self.files, 'file')}")


def _writer_of(into: str) -> str:
    """The first role that may write to where the files go."""
    name, _, key = into.partition("/")
    writers = who_may(parse_storage_class(name), Action.WRITE, key.split("/"))
    return writers[0].partition(" ")[0]


def _parse_settings(settings: tuple[str, ...]) -> dict[str, str]:
    pairs = {name: value for name, equals, value in (setting.partition("=") for setting in settings) if name and equals}
    if len(pairs) != len(settings):
        raise InvalidInput(Problem("--set", f"{' '.join(settings)!r}: give NAME=VALUE, each name once"))
    return pairs


def _print(report: "IngestReport", *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        import msgspec

        print_json({"rows": report.rows, "files": msgspec.to_builtins(list(report.files)), "dry_run": dry_run})
        return
    columns = (left("file"), left("dataset"), left("outcome"), right("rows"), left("windows"), right("version"))
    table(columns, [_line(each) for each in report.files])
    click.echo(f"{counted(report.rows, 'row')} of {counted(len(report.files), 'file')}")


def _line(report: "FileReport") -> list[str]:
    windows = report.windows
    told = "" if not windows else windows[0] if len(windows) == 1 else f"{windows[0]} … {windows[-1]} ({len(windows)})"
    version = "" if report.version is None else str(report.version)
    return [report.file, report.address, STATES[report.state], count(report.rows), told, version]
