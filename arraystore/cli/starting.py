"""`init` and `demo`: a store to begin with."""

import io
import sys
from pathlib import Path

import click

from arraystore.cli.command import command, opener_for, root_option, tell_dry_run
from arraystore.cli.exits import FINDINGS
from arraystore.cli.output import facts, print_json
from arraystore.errors import InvalidInput, Problem
from layouts.classes import StorageClass

__all__ = ["demo", "init"]

PIPE_WIDTH = 160


@command(
    "init",
    examples=[
        "arraystore init --root data",
        "arraystore init --root data --class-root raw=/mnt/tapes/raw --class-root derived=s3://bucket/derived",
    ],
)
@root_option
@click.option(
    "--class-root",
    "class_roots",
    metavar="CLASS=PLACE",
    multiple=True,
    help="Put a storage class elsewhere: a path below the root, an absolute path, or a URL. Only possible now.",
)
@click.option("--dry-run", is_flag=True, help="Show where everything would lie, and make nothing; whether the medium can link isn't tried.")
def init(*, root: str, class_roots: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Make a store.

    A root for each storage class; a store that exists stays as it is.

    Each class may have its own directory, bucket or prefix; the map is written now and never again.
    """
    from arraystore.classes.roots import init_store
    from arraystore.store import open_store

    opener = opener_for(dry_run=dry_run)
    init_store(root, roots=_parse_roots(class_roots), opener=opener)
    store = open_store(root, role="operations", opener=opener)
    places = {str(storage_class): store.surface(storage_class).url for storage_class in StorageClass}
    if as_json:
        print_json({"store": store.url, "uuid": store.uuid, "classes": places, "dry_run": dry_run})
        return
    facts([("store", store.url), ("uuid", store.uuid), *places.items()])
    tell_dry_run(dry_run=dry_run, as_json=as_json)


def _parse_roots(options: tuple[str, ...]) -> dict[str, str]:
    """The class map that the options spell out; every one that can't be read is a problem."""
    roots: dict[str, str] = {}
    problems: list[Problem] = []
    for option in options:
        name, _, place = option.partition("=")
        if name not in set(StorageClass) or not place:
            problems.append(Problem(f"--class-root {option!r}", f"give CLASS=PLACE, CLASS being one of {', '.join(StorageClass)}"))
        elif name in roots:
            problems.append(Problem(f"--class-root {option!r}", f"{name} has been given {roots[name]!r} already; keep one"))
        else:
            roots[name] = place
    if problems:
        raise InvalidInput(problems)
    return roots


@command(
    "demo",
    examples=["arraystore demo", "arraystore demo --root trial --capture btcusdt_20240718.gz --capture btcusdt_20240719.gz"],
)
@click.option("--root", metavar="URL", default="demo-store", show_default=True, help="The store to play in; it is made, or continued.")
@click.option(
    "--capture",
    "captures",
    metavar="FILE",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Record this capture: gzip, a line per message, being its capture time in ns, a space, and the exchange's JSON.",
)
def demo(*, root: str, captures: tuple[Path, ...], as_json: bool) -> None:
    """Play every role on market data.

    Records captures (shared ones where they are found, else simulated ones), promotes them, runs a backtest, kills a live session and
    recovers it, computes bars, corrects a window, and shows what lies where. Ends with exit code 1 if the store is then damaged.
    ARRAYSTORE_ROOT isn't looked at, so that no store in use is played in by mistake.
    """
    from rich.console import Console

    from arraystore.demo import run_demo

    stream = sys.stderr if as_json else sys.stdout
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")  # rather than to stop at a letter that the terminal hasn't got
    console = Console(file=stream)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    result = run_demo(root, captures, console=console)
    if as_json:
        print_json(result.to_json())
    if result.findings:
        click.get_current_context().exit(FINDINGS)
