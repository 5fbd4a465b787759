"""How figures are told: tables for people, JSON for programs, tables within this folder's README, the machine they are of."""

import importlib.metadata
import json
import os
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

README = Path(__file__).parent / "README.md"
LIBRARIES = (
    *("arraystore", "numpy", "numcodecs", "pcodec", "zarr", "zarrs", "xarray", "dask", "pyarrow", "polars", "duckdb", "vortex-data"),
    *("pylance", "arcticdb", "icechunk", "tensorstore", "h5py", "hdf5plugin", "tables", "pandas", "nautilus_trader"),
)


def machine() -> dict[str, Any]:
    """What the figures are of: processors, memory, system, load now, versions."""
    versions = {}
    for library in LIBRARIES:
        try:
            versions[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "processor": _processor(),
        "processors": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load": [round(each, 1) for each in os.getloadavg()],
        "versions": versions,
    }


def _processor() -> str:
    try:
        told = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    found = re.search(r"model name\s*: (.*)", told)
    return found[1] if found else platform.processor()


def print_table(case: Any, measured: Sequence[Any]) -> None:
    """One case, for people."""
    table = Table("data", "contestant", title=case.__doc__, title_justify="left")
    for heading in case.COLUMNS:
        table.add_column(heading, justify="right")
    for each in measured:
        table.add_row(each.data, each.contestant, *(cell(each) for cell in case.COLUMNS.values()))
    Console().print(table)


def add_json(path: Path, results: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Put figures into a file beside those of other cases that it has: ratios, goals and whether they are met, and the machine."""
    told: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    for name, measured in results.items():
        told[name] = [asdict(each) | {"ratio": each.ratio} | _goals_of(each) for each in measured]
    told["machine"] = machine()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told, indent=1) + "\n")
    return told


def _goals_of(figure: Any) -> dict[str, Any]:
    goals = getattr(figure, "goals", None)
    return {} if goals is None else {"goals": [asdict(goal) | {"met": goal.met} for goal in goals]}


def markdown(case: Any, measured: Sequence[Any]) -> str:
    """One case, for a page: a table a data set, and its goals as a list."""
    parts = []
    headings = [heading for heading in case.COLUMNS if heading != "goals"]
    for data in dict.fromkeys(each.data for each in measured):
        figures = [each for each in measured if each.data == data]
        lines = [f"**{data}**", "", f"| contestant | {' | '.join(headings)} |", "|---|" + "---|" * len(headings)]
        for each in figures:
            bold = "**" if each.contestant == "arraystore" else ""
            cells = [f"{bold}{text}{bold}" if text else "" for text in (case.COLUMNS[heading](each) for heading in headings)]
            lines.append(f"| {bold}{each.contestant}{bold} | {' | '.join(cells)} |")
        goals = [goal for each in figures for goal in getattr(each, "goals", ())]
        lines += ["", *(f"- {goal}" for goal in goals)] if goals else []
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def write_readme(
    results: Mapping[str, Sequence[Any]], cases: Mapping[str, Any], pictures: Iterable[Path] = (), page: Path = README
) -> None:
    """Put new tables, the goals of all that was measured, and the machine, between the marks that the page has for them."""
    text = page.read_text()
    shown = {path.stem: path for path in pictures}
    told = add_json(page.parent / "figures.json", results)
    for name, measured in results.items():
        body = markdown(cases[name], measured)
        if name in shown:
            body += f"\n\n![{name}]({shown[name].relative_to(page.parent)})"
        text = _between(text, name, body)
    text = _between(text, "goals", _goals_told(told))
    page.write_text(_between(text, "machine", _machine_told(told["machine"])))


def cases_of(page: Path = README) -> list[str]:
    """The cases that a page has marks for, in its order."""
    return [name for name in re.findall(r"<!-- begin (\w+) -->", page.read_text()) if name not in ("goals", "machine")]


def _goals_told(told: Mapping[str, Any]) -> str:
    """A row a goal of all cases."""
    lines = ["| case | data | goal, as a ratio | at least | measured | by CPU time | |", "|---|---|---|---|---|---|---|"]
    for case, figures in told.items():
        for figure in figures if isinstance(figures, list) else ():
            for goal in figure.get("goals", ()):
                if goal["wanted"]:
                    what = goal["what"] + (f" ({goal['beside']})" if goal["beside"] else "")
                    met = "met" if goal["met"] else "**missed**"
                    cpu = "" if goal["cpu"] is None else f"{goal['cpu']:.2f}"
                    lines.append(f"| `{case}` | {figure['data']} | {what} | {goal['wanted']:g} | {goal['found']:.2f} | {cpu} | {met} |")
    return "\n".join(lines)


def mark_of(name: str) -> str:
    """Where a case's tables begin on the page."""
    return f"<!-- begin {name} -->"


def _between(text: str, name: str, body: str) -> str:
    begin, end = mark_of(name), f"<!-- end {name} -->"
    if begin not in text:
        return text
    before, rest = text.split(begin, 1)
    return f"{before}{begin}\n{body}\n{end}{rest.split(end, 1)[1]}"


def _machine_told(told: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{library} {version}" for library, version in told["versions"].items())
    loads = " / ".join(map(str, told["load"]))
    return (
        f"{told['processors']} cores of {told['processor']}, {told['memory_gib']} GiB, {told['system']}, Python {told['python']}; "
        f"load average at the end {loads}. {versions}."
    )
