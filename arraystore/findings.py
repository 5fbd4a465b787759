"""What a check found wrong, where it lies, and what to do about it."""

import re
from dataclasses import asdict, dataclass
from typing import Any

REPLICA = "restore it from a replica: `arraystore repair --from URL`"
ROWS = f"{REPLICA}; without one, replace or withdraw the window: other windows stay readable"
DERIVED = "delete it: it can be told from the log, and `arraystore repair` makes it anew"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that isn't as it was written.

    Attributes
    ----------
    where, problem
        The object, by its path below the class root, and what it is and should be.
    dataset
        `CLASS/KEY`; empty for what belongs to no dataset.
    window, segment, file
        Where in the dataset: the window's name on disk, the segment (or the artifact's place), the object below it; empty for none.
    remedy
        What to do.
    """

    where: str
    problem: str
    dataset: str = ""
    window: str = ""
    segment: str = ""
    file: str = ""
    remedy: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)

    def __str__(self) -> str:
        """The problem, with the object that has it."""
        return self.problem if self.problem.startswith(self.where) else f"{self.where}: {self.problem}"


def finding(storage_class: str | None, prefix: str, where: str, problem: str) -> Finding:
    """A finding in the dataset at `prefix`; a problem that names an object of it is about that one."""
    if named := re.search(rf"(?<![^\s/'\"]){re.escape(prefix)}/[A-Za-z0-9=_.-]+(/[A-Za-z0-9=_.-]+)*", problem):
        where = named[0].rstrip(".")
    parts = where.removeprefix(f"{prefix}/").split("/") if where != prefix else []
    window, segment, file, remedy = _place(parts)
    return Finding(where, problem, f"{storage_class}/{prefix}" if storage_class else prefix, window, segment, file, remedy)


def _place(parts: list[str]) -> tuple[str, str, str, str]:
    """Window, segment, file and remedy of an object of a dataset."""
    match parts:
        case []:
            return "", "", "", REPLICA
        case ["_checkpoints" | "_manifests", *_]:
            return "", "", "/".join(parts), DERIVED
        case ["_artifacts", artifact, *rest]:
            return "", artifact, "/".join(rest), f"{REPLICA}; without one, add the file again: rows stay readable"
        case [name, *_] if name.startswith("_") or parts == ["zarr.json"]:
            return "", "", "/".join(parts), REPLICA
        case [window]:
            return window, "", "", ROWS
    return parts[0], parts[1], "/".join(parts[2:]), ROWS
