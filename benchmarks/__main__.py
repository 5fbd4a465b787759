"""`uv run python -m benchmarks [CASE…] [--scale small|full] [--json FILE]`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from benchmarks import ingest, recorder, size

CASES: dict[str, Any] = {"ingest": ingest, "recorder": recorder, "size": size}
ON_REQUEST = {"recorder"}  # they take minutes, or rights that few have


@click.command()
@click.argument("cases", nargs=-1, type=click.Choice(sorted(CASES)))
@click.option("--scale", type=click.Choice(["small", "full"]), default="full", show_default=True)
@click.option("--json", "path", type=click.Path(path_type=Path), help="Write the figures there, too.")
def main(cases: tuple[str, ...], scale: str, path: Path | None) -> None:
    """Run the cases (all by default) and print one table each."""
    results: dict[str, list[dict[str, Any]]] = {}
    for name in cases or sorted(CASES):
        measured = CASES[name].run(small=scale == "small")
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
