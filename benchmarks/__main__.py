"""`uv run python -m benchmarks [CASE…] [--scale small|full] [--json FILE]`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from benchmarks import append, checksums, discovery, growth, ingest, peers, recorder, size

CASES: dict[str, Any] = {
    "append": append,
    "checksums": checksums,
    "discovery": discovery,
    "growth": growth,
    "ingest": ingest,
    "peers": peers,
    "recorder": recorder,
    "size": size,
}


@click.command()
@click.argument("cases", nargs=-1, type=click.Choice(sorted(CASES)))
@click.option("--scale", type=click.Choice(["small", "full"]), default="full", show_default=True)
@click.option("--json", "path", type=click.Path(path_type=Path), help="Write the figures there, too.")
@click.option("--seconds", type=click.FloatRange(min=1), help="How long `recorder` records; 300 by default, 3600 for the hour.")
@click.option("--power-cut", is_flag=True, help="Have `peers` cut the power of a loop-mounted ext4, too: needs Linux and root.")
def main(cases: tuple[str, ...], scale: str, path: Path | None, seconds: float | None, power_cut: bool) -> None:
    """Run the cases (all by default) and print one table each."""
    options: dict[str, dict[str, Any]] = {"recorder": {"seconds": seconds}, "peers": {"power_cut": power_cut}}
    results: dict[str, list[dict[str, Any]]] = {}
    for name in cases or sorted(CASES):
        measured = CASES[name].run(small=scale == "small", **options.get(name, {}))
        results[name] = [asdict(each) | {"ratio": each.ratio} for each in measured]
        _print(CASES[name], measured)
    if path is not None:
        path.write_text(json.dumps(results, indent=1) + "\n")


def _print(case: Any, measured: list[Any]) -> None:
    table = Table("data", "contestant", title=case.__doc__, title_justify="left")
    for heading in case.COLUMNS:
        table.add_column(heading, justify="right")
    for each in measured:
        table.add_row(each.data, each.contestant, *(cell(each) for cell in case.COLUMNS.values()))
    Console().print(table)


if __name__ == "__main__":
    main()
