"""Where the demo's captures come from: named files, shared recordings, or the simulator."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from arraystore import InvalidInput
from arraystore.demo.simulator import simulate_captures

VARIABLE = "ARRAYSTORE_CAPTURES"
SHARED = Path("..", "shared", "data", "binance-usdm")


@dataclass(frozen=True, slots=True)
class Sources:
    """The capture files to record, and where they were found, in words."""

    paths: tuple[Path, ...]
    told: str


def find_captures(given: Sequence[Path], scratch: Path, *, environment: Mapping[str, str] = os.environ, messages: int = 40_000) -> Sources:
    """The files given; else those of the directory that `ARRAYSTORE_CAPTURES` names; else the shared recordings; else simulated ones.

    Shared recordings are looked for beside the working directory and beside the project. Simulated captures of `messages` lines each
    are written into `scratch`.
    """
    if given:
        return Sources(tuple(given), f"{len(given)} named file{'s' if len(given) > 1 else ''}")
    if directory := environment.get(VARIABLE):
        paths = tuple(sorted(Path(directory).glob("*.gz")))
        if not paths:
            raise InvalidInput(f"{directory!r} holds no *.gz; name a directory of captures, or unset the variable", VARIABLE)
        return Sources(paths, f"recorded captures in {directory}")
    project = Path(__file__).resolve().parents[2]
    for place in dict.fromkeys((Path.cwd() / SHARED, project / SHARED)):
        if paths := tuple(sorted(place.glob("*.gz"))):
            return Sources(paths, f"recorded captures in {os.path.normpath(place)}")
    return Sources(tuple(simulate_captures(scratch, messages=messages)), "simulated captures (no recorded ones were found)")
