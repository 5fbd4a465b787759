"""`uv run python -m benchmarks [CASE…] [--scale small|full] [--json FILE]`."""

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import click

from benchmarks import (
    append,
    asof,
    book,
    checksums,
    cold,
    columns,
    discovery,
    exporting,
    growth,
    history,
    ingest,
    labelled,
    large,
    many,
    opening,
    peers,
    plots,
    raw,
    recorder,
    replays,
    scan,
    size,
    slicing,
    write,
)
from benchmarks.absent import absent
from benchmarks.frame import Setting
from benchmarks.report import add_json, cases_of, print_table, write_readme

CASES: dict[str, Any] = {
    "append": append,
    "as_of": asof,
    "book": book,
    "checksums": checksums,
    "cold": cold,
    "columns": columns,
    "dask_scan": labelled,
    "export_hdf5": exporting,
    "discovery": discovery,
    "growth": growth,
    "ingest": ingest,
    "large": large,
    "many": many,
    "open_history": history,
    "peers": peers,
    "raw": raw,
    "recorder": recorder,
    "replay": replays,
    "scan": scan,
    "size": size,
    "slice": slicing,
    "write": write,
    "xarray_open": opening,
}


@click.command()
@click.argument("cases", nargs=-1, type=click.Choice(sorted(CASES)))
@click.option("--scale", type=click.Choice(["small", "full"]), default="full", show_default=True)
@click.option(
    "--json", "path", type=click.Path(path_type=Path), help="Write the figures there, too, beside those of other cases that it has."
)
@click.option(
    "--cache", type=click.Path(path_type=Path, file_okay=False), help="Where tables are built, once; name a folder on the disk to measure."
)
@click.option("--rounds", type=click.IntRange(min=1), help="Turns of each contestant, where the case takes turns over tables.")
@click.option("--rows", type=click.IntRange(min=1_000), help="Rows of synthetic tables, instead of the scale's.")
@click.option("--only", multiple=True, help="Contestants whose name has this in it, beside ours; may be given again.")
@click.option("--plots", "pictures", type=click.Path(path_type=Path, file_okay=False), help="Draw a picture a case there.")
@click.option("--readme", is_flag=True, help="Put the tables into benchmarks/README.md, and pictures beside it.")
@click.option("--seconds", type=click.FloatRange(min=1), help="How long `recorder` records; 300 by default, 3600 for the hour.")
@click.option("--power-cut", is_flag=True, help="Have `peers` cut the power of a loop-mounted ext4, too: needs Linux and root.")
def main(
    *,
    cases: tuple[str, ...],
    scale: str,
    path: Path | None,
    cache: Path | None,
    rounds: int | None,
    rows: int | None,
    only: tuple[str, ...],
    pictures: Path | None,
    readme: bool,
    seconds: float | None,
    power_cut: bool,
) -> None:
    """Run the cases (all by default, or with --readme those that the page has) and print one table each.

    Several run in a process each, so that what one leaves in memory is none of the next.
    """
    chosen = cases or tuple(cases_of() if readme else sorted(CASES))
    if missing := absent():
        print(f"Not installed, and left out: {', '.join(missing)}.")
    if len(chosen) > 1:
        given = [each for each in sys.argv[1:] if each not in cases]
        failed = [name for name in chosen if subprocess.run([sys.executable, "-m", "benchmarks", name, *given], check=False).returncode]
        if failed:
            raise click.ClickException(f"{', '.join(failed)} failed; the others' figures are told")
        return
    (name,) = chosen
    options: dict[str, dict[str, Any]] = {"recorder": {"seconds": seconds}, "peers": {"power_cut": power_cut}}
    small = scale == "small"
    setting = Setting(small=small, cache=cache, rounds=rounds, rows=rows, only=only)
    more = {"setting": setting} if "setting" in inspect.signature(CASES[name].run).parameters else {}
    results = {name: CASES[name].run(small=small, **more, **options.get(name, {}))}
    print_table(CASES[name], results[name])
    if path is not None:
        add_json(path, results)
    if readme and pictures is None:
        pictures = Path(__file__).parent / "pictures"
    drawn = [] if pictures is None else plots.draw(results, pictures)
    if readme:
        write_readme(results, CASES, drawn)


if __name__ == "__main__":
    main()
