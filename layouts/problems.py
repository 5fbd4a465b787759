"""What is wrong with a value, said completely: all problems, each with its place and remedy."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong: `where` it is (a column, a key part, a parameter) and `what` to do about it."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class ArrayStoreError(Exception):
    """The root of every error this project raises on purpose."""


class InvalidInput(ArrayStoreError, ValueError):
    """The caller's value can't be taken; `problems` tells every reason. Nothing was written."""

    def __init__(self, problems: str | Problem | Iterable[Problem], where: str = "") -> None:
        if isinstance(problems, str):
            problems = Problem(where or "input", problems)
        if isinstance(problems, Problem):
            problems = (problems,)
        self.problems = tuple(problems)
        super().__init__("; ".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[type, tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)
