"""What is done to a store while things go wrong, and what a reader sees of it."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol
from unittest import mock

import numpy as np

import arraystore
from arraystore import Column, Kind, Schema
from arraystore.datasets.request import Request
from arraystore.errors import NotFound
from arraystore.frames.intake import rows_from
from tests.store.conftest import DAY, START

KEY = ("venue", "trades", "X")
ROOT = "memory://machine"
SMALL, LARGE = 3, 10_000
PLAIN = Schema(name="plain", order="arrival", columns=(Column(name="time", kind=Kind.TIME), Column(name="size")))
WIDER = Schema(name="plain", order="arrival", columns=(*PLAIN.columns, Column(name="more", nullable=True)))
BARS = ("bars", "1m", "venue", "X")
COPY = "memory://copy"
FILL = {"account": ["a"], "strategy": ["s"], "instrument": ["X"], "fill_id": ["1"], "side": [1], "price": [1.0], "size": [1.0]}


class Machine(Protocol):
    """Something a store can be opened on."""

    def opener(self, url: str, /, *, create: bool = False) -> Any: ...


type Act = Callable[[Machine], object]


def opened(machine: Machine, role: str) -> arraystore.Store:
    whole = machine.opener(f"{ROOT}/execution-records").exists("zarr.json")  # which init writes last
    return arraystore.open_store(ROOT, role=role, create=not whole, opener=machine.opener)


def canonical(machine: Machine) -> arraystore.Dataset:
    return opened(machine, "data-quality").canonical[KEY]


def session(machine: Machine) -> arraystore.Session:
    return opened(machine, "live").execution_records.session("live", "s")


def plain(count: int, first: int = 0, start: int = START) -> dict[str, np.ndarray]:
    """Rows told apart by their size."""
    numbers = np.arange(first, first + count)
    return {"time": start + numbers, "size": numbers.astype(float)}


def spread(count: int) -> dict[str, np.ndarray]:
    """Rows over three windows."""
    return {"time": START + np.arange(count * 3) * (DAY // count), "size": np.zeros(count * 3)}


def told(dataset: arraystore.DatasetView) -> object:
    """All that a dataset says, but for its version and the names of its segments."""
    attributes = {m.window: {name: value for name, value in m.attributes.items() if name != "held"} for m in dataset.manifests()}  # a time
    manifests = {m.window: (m.rows, m.completeness, m.coverage, attributes[m.window], len(m.lineage)) for m in dataset.manifests()}
    values = {w: np.asarray(dataset.read(window=w)["time"]).tolist() for w in dataset.windows()}
    files = {name: artifact.read() for name, artifact in dataset.artifacts().items()}
    return manifests, values, files, dict(dataset.attributes), dataset.sealed


def see(name: str) -> Act:
    """All that a class says, and that nothing is wrong with it."""

    def look(machine: Machine) -> object:
        surface = opened(machine, "operations").surface(name)
        assert not [finding for key in surface for finding in surface[key].verify(deep=True)]
        return {key: told(surface[key]) for key in surface}

    return look


@dataclass(frozen=True)
class Scenario:
    """What is there before, what is done, and what a reader sees of it: what was before, or what is after it, and nothing else."""

    setup: Act
    act: Act
    see: Act = field(default_factory=lambda: see("canonical"))


def made(machine: Machine) -> None:
    opened(machine, "data-quality").canonical.create(KEY, PLAIN)


def filled(machine: Machine) -> None:
    made(machine)
    dataset = canonical(machine)
    dataset.append(plain(SMALL), token=("writer", 1))
    dataset.append(plain(LARGE, SMALL), coverage=("2024-08-08", "2024-08-09"))
    dataset.append(plain(SMALL, SMALL + LARGE))


def many(machine: Machine) -> None:
    """So many commits that, with frequent checkpoints, one follows the next."""
    filled(machine)
    dataset = canonical(machine)
    for number in range(12):
        dataset.append(plain(1, 10_000 + number))


def with_file(machine: Machine) -> None:
    filled(machine)
    canonical(machine).add_file(b"old", "file")


def run_of(machine: Machine) -> arraystore.Dataset:
    return opened(machine, "backtesting").experiments["experiment", "run"]


def running(machine: Machine) -> None:
    """A run as it lies on disk; who is at it gives signs of life from a thread of its own, which would get in the way here."""
    filled(machine)
    run = opened(machine, "backtesting").experiments.create(("experiment", "run"), None, attributes={"state": "running"})
    run.append(plain(SMALL), window="plain", schema=PLAIN)


def seal(machine: Machine) -> None:
    """What ends a run."""
    rows = rows_from(plain(SMALL), PLAIN)
    pin = opened(machine, "backtesting").canonical[KEY].pin()
    request = Request(
        operation="seal", role="backtesting", rows=rows, window="metrics", completeness="complete", inputs=(pin,), state="sealed"
    )
    run_of(machine).commit(request)


def in_session(machine: Machine) -> None:
    session(machine).append("fills", {"time": [START], **FILL})


def record(machine: Machine) -> None:
    session(machine).append("fills", {"time": [START + 1], **FILL})


def maintained(machine: Machine) -> arraystore.Dataset:
    return opened(machine, "operations").canonical[KEY]


def laid_out(machine: Machine) -> object:
    """Besides what readers see, how rows lie."""
    return see("canonical")(machine), [(entry.rows, bool(entry.tail)) for m in maintained(machine).manifests() for entry in m.segments]


def hold(machine: Machine) -> None:
    quarantine = opened(machine, "data-quality").quarantine
    quarantine.hold(KEY, plain(LARGE, 40_000), schema=PLAIN, reason="gap", failed_checks=["gap"], source="recorder")


def held(machine: Machine) -> None:
    """A window that is kept from promotion."""
    filled(machine)
    hold(machine)


def release(machine: Machine) -> None:
    store = opened(machine, "data-quality")
    store.quarantine.release(KEY, "2024-08-08", into=canonical(machine), note="fine", reopen=True)


def superseded(machine: Machine) -> None:
    """Versions that nobody pins, one that somebody does, and what a writer left who died."""
    filled(machine)
    dataset = canonical(machine)
    dataset.replace("2024-08-08", plain(LARGE, 7), reason="r")
    opened(machine, "data-quality").tag("kept", [dataset.pin()])
    dataset.replace("2024-08-08", plain(LARGE, 9), reason="r")
    dataset.append(plain(SMALL, 30_000), reopen=True)


def expired(machine: Machine) -> None:
    superseded(machine)
    expire(machine)


def expire(machine: Machine) -> None:
    opened(machine, "operations").expire("canonical", keep_versions=1, delay="0s", dry_run=False)


def collect(machine: Machine) -> Any:
    return opened(machine, "operations").gc("canonical", grace="0s", dry_run=False)["canonical/venue/trades/X"]


def with_past(machine: Machine) -> object:
    """Besides what readers see, which versions there are and what they say."""
    dataset = maintained(machine)
    readable = []
    for version in range(1, 7):
        with suppress(NotFound):
            readable.append((version, told(dataset.at(version))))
    return see("canonical")(machine), readable


def worth_packing(machine: Machine) -> None:
    """With a checkpoint some commits before the newest."""
    filled(machine)
    more_to_pack(machine, 15_000)


def more_to_pack(machine: Machine, first: int) -> None:
    dataset = canonical(machine)
    dataset.append(plain(1, first))
    with mock.patch("arraystore.versions.checkpoint.is_due", return_value=True):
        dataset.append(plain(1, first + 1))
    dataset.append(plain(1, first + 2))


def packed(machine: Machine) -> None:
    """With a pack, and commits that would go into the next."""
    worth_packing(machine)
    pack(machine)
    more_to_pack(machine, 20_000)


def pack(machine: Machine) -> Any:
    return opened(machine, "operations").pack("canonical", dry_run=False, least=2)["canonical/venue/trades/X"]


def at_every_version(machine: Machine) -> object:
    """Besides what readers see, every version, and its digest."""
    dataset = maintained(machine)
    past = [(version.number, version.digest, told(dataset.at(version.number))) for version in dataset.versions()]
    return see("canonical")(machine), past


def with_packs(machine: Machine) -> object:
    return maintained(machine)._log.floor_record().packs, at_every_version(machine)


def with_tags(machine: Machine) -> object:
    store = opened(machine, "operations")
    return see("canonical")(machine), {name: (store.tagged(name).version, store.tagged(name).pins) for name in store.tags()}


def tagged(machine: Machine) -> None:
    filled(machine)
    opened(machine, "data-quality").tag("t", [canonical(machine).pin()])
    canonical(machine).append(plain(SMALL, 20_000))


def with_schema(machine: Machine) -> object:
    return see("canonical")(machine), [column.name for column in canonical(machine).schema.columns]


def bars(machine: Machine) -> Any:
    return opened(machine, "analysis").derived


def computed(machine: Machine) -> None:
    dataset = bars(machine).create(BARS, PLAIN)
    dataset.append(plain(LARGE))
    dataset.append(plain(SMALL, LARGE))


def copy(machine: Machine) -> Any:
    return opened(machine, "operations").copy(COPY)


def behind(machine: Machine) -> None:
    """With a copy that lacks the newest versions."""
    filled(machine)
    opened(machine, "data-quality").tag("t", [canonical(machine).pin()])
    copy(machine)
    canonical(machine).append(plain(LARGE, 20_000))
    canonical(machine).add_file(b"file", "file")


def of_the_copy(machine: Machine) -> object:
    """The version that the copy has, none where there is no copy yet; it says what the original said at that version."""
    try:
        dataset = arraystore.open_store(COPY, role="operations", opener=machine.opener).canonical[KEY]
    except NotFound:
        return None
    assert not dataset.verify(deep=True)
    assert told(dataset) == told(canonical(machine).at(dataset.version))
    return dataset.version


def damaged(machine: Machine) -> None:
    """With a copy, and other bytes than were written in a chunk, a commit and a checkpoint."""
    many(machine)
    canonical(machine).append(plain(LARGE, 20_000))
    copy(machine)
    storage = machine.opener(f"{ROOT}/canonical")
    prefix = "/".join(KEY)
    segments = storage.list(f"{prefix}/2024-08-08").prefixes
    checkpoints = storage.list(f"{prefix}/_checkpoints").objects
    for key in (f"2024-08-08/{segments[-1]}/size/0", "_log/00000000000000000003", f"_checkpoints/{checkpoints[-1]}"):
        data = bytearray(storage.get(f"{prefix}/{key}"))
        data[-1] ^= 1
        storage.put(f"{prefix}/{key}", bytes(data), durable=True)


def repair(machine: Machine) -> Any:
    return opened(machine, "operations").repair(COPY)


def with_findings(machine: Machine) -> object:
    """What is wrong, or what is read."""
    found = opened(machine, "operations").verify(["canonical"], deep=True)
    return [finding.problem for finding in found.findings] or see("canonical")(machine)


SCENARIOS = {
    "create": Scenario(lambda m: opened(m, "operations"), made),
    "append a tail": Scenario(filled, lambda m: canonical(m).append(plain(SMALL, 20_000))),
    "append a tail with a token": Scenario(filled, lambda m: canonical(m).append(plain(1, 20_000), token=("writer", 2))),
    "append a segment": Scenario(filled, lambda m: canonical(m).append(plain(LARGE, 20_000))),
    "append to three windows": Scenario(filled, lambda m: canonical(m).append(spread(LARGE))),
    "append tails to three windows": Scenario(filled, lambda m: canonical(m).append(spread(SMALL))),
    "append and checkpoint": Scenario(many, lambda m: canonical(m).append(plain(SMALL, 20_000))),
    "append with lineage": Scenario(filled, lambda m: canonical(m).append(plain(SMALL, 20_000), inputs=canonical(m).pin())),
    "replace": Scenario(filled, lambda m: canonical(m).replace("2024-08-08", plain(SMALL, 7), reason="r")),
    "withdraw": Scenario(filled, lambda m: canonical(m).withdraw("2024-08-08", reason="r")),
    "evolve": Scenario(filled, lambda m: canonical(m).evolve(WIDER), with_schema),
    "delete": Scenario(computed, lambda m: bars(m).delete(BARS, reason="r"), see("derived")),
    "tag": Scenario(filled, lambda m: opened(m, "data-quality").tag("t", [canonical(m).pin()]), with_tags),
    "move a tag": Scenario(tagged, lambda m: opened(m, "data-quality").tag("t", [canonical(m).pin()]), with_tags),
    "complete": Scenario(filled, lambda m: canonical(m).update(window="2024-08-08", completeness="complete")),
    "add a file": Scenario(filled, lambda m: canonical(m).add_file(b"file" * 600_000, "file")),
    "replace a file": Scenario(with_file, lambda m: canonical(m).add_file(b"new", "file")),
    "compact": Scenario(filled, lambda m: maintained(m).compact(), laid_out),
    "write a series": Scenario(running, lambda m: run_of(m).append(plain(LARGE), window="plain"), see("experiments")),
    "seal a run": Scenario(running, seal, see("experiments")),
    "append to a session": Scenario(
        in_session, lambda m: session(m).append("fills", {"time": [START + 1], **FILL}), see("execution-records")
    ),
    "close a session": Scenario(in_session, lambda m: session(m).close(), see("execution-records")),
}

# What takes more than one commit or record, and may be found between two of them.
OF_SEVERAL_STEPS = {
    "expire": Scenario(superseded, expire, with_past),
    "pack": Scenario(worth_packing, pack, with_packs),
    "pack once more": Scenario(packed, pack, with_packs),
    "release from quarantine": Scenario(held, release),
    "hold in quarantine": Scenario(filled, hold, see("quarantine")),
    "copy": Scenario(many, copy, of_the_copy),
    "bring a copy up to date": Scenario(behind, copy, of_the_copy),
    "repair": Scenario(damaged, repair, with_findings),
}
