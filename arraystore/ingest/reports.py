"""What became of files: a report of each, and one error for those that couldn't be taken."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from arraystore.errors import ArrayStoreError, InvalidInput, Problem

type State = Literal["ingested", "known", "empty", "checked"]

SHOWN_FAILURES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """What became of one file; of one that holds rows of several datasets, there is a report for each of these.

    `state`: `ingested` in `version`; `known`: was in before, as `version`; `empty`: no rows, so no commit; `checked`: a dry run found
    nothing wrong with it. `left_out`: how many of its rows the mapping's `where` and `unless` pass over, told in its first report.
    """

    file: str
    state: State
    address: str
    rows: int = 0
    windows: tuple[str, ...] = ()
    version: int | None = None
    sha256: str = ""
    left_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestReport:
    """What became of all files, in the order they were given."""

    files: tuple[FileReport, ...]

    @property
    def rows(self) -> int:
        """Rows of the files that came in now, or that a dry run read."""
        return sum(report.rows for report in self.files if report.state in ("ingested", "checked"))

    def count(self, state: State) -> int:
        """How many files ended so."""
        return sum(report.state == state for report in self.files)


def _problem(path: Path, error: ArrayStoreError) -> Problem:
    """An error of one file, which names it, as one problem of several."""
    return Problem(str(path), str(error).removeprefix(f"{path}: "))


def failure_of(paths: list[Path], failures: dict[int, ArrayStoreError], done: int) -> ArrayStoreError:
    """One error for all files that couldn't be taken; of a single one its own."""
    if len(paths) == 1:
        return next(iter(failures.values()))
    untried = len(paths) - done - len(failures)
    told = f"{len(failures)} of {len(paths)} files failed, {done} are in" + (f", {untried} weren't tried" if untried else "")
    if len(failures) == 1 and not isinstance(error := next(iter(failures.values())), InvalidInput):
        return type(error)(f"{error} ({told})")
    problems = [
        problem
        for place, error in sorted(failures.items())
        for problem in (error.problems if isinstance(error, InvalidInput) else (_problem(paths[place], error),))
    ]
    return InvalidInput([*problems[:SHOWN_FAILURES], Problem("files", f"{told}: correct them, then run the same again with --resume")])
