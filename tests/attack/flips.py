"""Small stores of every shipped schema whose bytes are changed one by one, and everything that can be asked of them."""

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from unittest import mock

import arraystore
from arraystore.segments.index import forget_indexes
from arraystore.storage.memory import MemoryStorage
from arraystore.testing.generators import generate
from arraystore.versions.commit import Pin
from layouts.times import parse_time

KEY = ("venue", "small", "X")
PATH = "venue/small/X"
MADE = ("bars", "v", "venue", "X")
ROWS = 3
COVERED = re.compile(r"(?:X)/(?:zarr\.json$|_log/\d+$|_checkpoints/|_manifests/|_artifacts/|\d{4}|whole)")
"""What a kept version of a dataset names, so that verify must tell; not hints, marks, locks, and the groups on the way."""

type Call = Callable[[arraystore.Store], object]


def plain(frame: arraystore.Frame) -> object:
    """Every value bit for bit, nulls, texts and labels included."""
    rows = frame.rows
    return {name: array.tobytes() for name, array in rows.arrays.items()}, rows.labels, rows.count


def view_told(view: arraystore.DatasetView) -> object:
    return plain(view.read()), {name: artifact.read() for name, artifact in view.artifacts().items()}


@dataclass(slots=True)
class Small:
    """A store in memory with one dataset of a schema (a segment, tails, a checkpoint, a file), one made of it, and a tag of both."""

    schema: str
    profile: str
    storage: MemoryStorage = field(default_factory=MemoryStorage)
    pin: Pin | None = None
    answers: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        name = f"small-{self.schema}-{self.profile}-{id(self):x}"
        self.storage = MemoryStorage(name)
        quality = self.opened("data-quality", create=True)
        with mock.patch("arraystore.versions.checkpoint.is_due", lambda state: state.version == 4):
            dataset = quality.canonical.create(KEY, arraystore.schema_by_name(self.schema), profile=self.profile)
            with mock.patch("arraystore.datasets.writer.TAIL_BYTES", -1):
                dataset.append(generate(self.schema, ROWS, seed=1))
            dataset.add_file(bytes(range(40)), name="file")
            for number in range(2):
                dataset.append(generate(self.schema, 2, seed=2 + number, start="2024-08-09"))
            dataset.update(attributes={"told": "often"})
        self.pin = dataset.pin()
        quality.tag("both", [self.pin])
        analysis = self.opened("analysis")
        made = analysis.derived.create(MADE, arraystore.schema_by_name("bars"))
        made.append(generate("bars", 1, seed=5), inputs=[self.pin])
        forget_indexes()
        store = self.opened("operations")
        self.answers = {name: call(store) for name, call in self.calls().items()}

    @property
    def url(self) -> str:
        return self.storage.url

    @property
    def objects(self) -> dict[str, bytes]:
        return self.storage._space.objects

    @property
    def newest(self) -> set[str]:
        """The newest commit of each dataset."""
        assert self.pin is not None
        return {f"canonical/{PATH}/_log/{self.pin.version:020d}", f"derived/{'/'.join(MADE)}/_log/{2:020d}"}

    def opened(self, role: str, *, create: bool = False) -> arraystore.Store:
        return arraystore.open_store(self.url, role=role, create=create)

    def calls(self) -> dict[str, Call]:
        """Every way to read."""
        pin = self.pin
        assert pin is not None
        axis = arraystore.schema_by_name(self.schema).axis
        start = parse_time("2024-08-08", "start")
        calls: dict[str, Call] = {
            "whole": lambda store: view_told(store.canonical[KEY]),
            "slice": lambda store: plain(store.canonical[KEY].read(start, start + 10**14)),
            "columns": lambda store: plain(store.canonical[KEY].read(columns=[axis])),
            "versions": lambda store: store.canonical[KEY].versions(),
            "first version": lambda store: plain(store.canonical[KEY].at(2).read()),
            "pinned": lambda store: plain(store.read(pin)),
            "manifests": lambda store: [manifest.to_json() for manifest in store.canonical[KEY].manifests()],
            "diff": lambda store: store.canonical[KEY].diff(2, 4).to_json(),
            "find": lambda store: store.canonical.find(),
            "changes": lambda store: list(store.canonical.changes()),
            "dependents": lambda store: [each.to_json() for each in store.dependents(store.canonical[KEY])],
            "tag": lambda store: (store.tags(), store.tagged("both").to_json()),
            "made": lambda store: plain(store.derived[MADE].read()),
        }
        if "instrument" in arraystore.schema_by_name(self.schema):
            calls["instruments"] = lambda store: store.canonical[KEY].read(columns=["instrument"]).row_count
        return calls

    def paths(self) -> list[str]:
        return sorted(self.objects)


@dataclass(slots=True)
class Tally:
    """What a campaign found."""

    changes: int = 0
    asked: int = 0
    refused: int = 0
    unnoticed: Counter[str] = field(default_factory=Counter)  # by verify, though it covers the file
    silent: list[str] = field(default_factory=list)
    strange: Counter[str] = field(default_factory=Counter)  # errors that aren't ours
    unnamed: Counter[str] = field(default_factory=Counter)  # errors that don't tell the place

    def __str__(self) -> str:
        return (
            f"{self.changes} changes, {self.asked} questions, {self.refused} refused, {len(self.silent)} silent, "
            f"strange {dict(self.strange)}, unnamed {dict(self.unnamed)}, unnoticed by verify {dict(self.unnoticed)}"
        )

    def check(self) -> None:
        assert not self.silent, self.silent[:5]
        assert not self.strange, self.strange
        assert not self.unnamed, self.unnamed
        assert not self.unnoticed, self.unnoticed


def kind_of(path: str) -> str:
    """A file's kind: its path without what is random or counted."""
    return re.sub(r"\d+-[0-9a-f]{16,}|[0-9a-f]{32,}|\d{6,}|\d{4}-\d\d-\d\d(T\d\d)?", "*", path)


def names_place(message: str, path: str) -> bool:
    """Whether a message tells the file, or the version, segment or window that it belongs to."""
    *above, name = path.split("/")
    if PATH in path and PATH not in message and "small" not in message:
        return False
    if len(above) < 2:
        return "small-" in message
    return name in message or above[-1] in message or (name.isdecimal() and f"version {int(name)}" in message)


def ask(small: Small, path: str, tally: Tally, names: list[str] | None = None, changed: Iterable[str] = ()) -> None:
    """Ask a store whose file `path` was changed; right answers and errors of ours are well."""
    store: arraystore.Store | None = None
    for name, call in small.calls().items():
        if names is not None and name not in names:
            continue
        forget_indexes()
        tally.asked += 1
        try:
            store = small.opened("operations") if store is None else store
            if call(store) != small.answers[name] and not is_beyond(small, path, name):
                tally.silent.append(f"{small.schema} {small.profile} {path}: {name}")
        except arraystore.ArrayStoreError as error:
            tally.refused += 1
            if not any(names_place(str(error), each) for each in (path, *changed)):
                tally.unnamed[f"{kind_of(path)}: {type(error).__name__}: {str(error)[:160]}"] += 1
        except Exception as error:  # noqa: BLE001 - whatever it is, it isn't ours
            tally.strange[f"{kind_of(path)}: {name}: {error!r:.200}"] += 1


def is_beyond(small: Small, path: str, name: str) -> bool:
    """What nobody can know who has no anchor: that the newest commit, or an edge of lineage, was there before it was removed."""
    if path in small.objects:
        return False
    return path.startswith("lineage/") if name == "dependents" else path in small.newest


def verify(small: Small, path: str, tally: Tally) -> None:
    """Verify in depth must tell of what it covers."""
    gone = path not in small.objects
    if not COVERED.search(path) or (gone and (path in small.newest or "/_checkpoints/" in path or "/_manifests/" in path)):
        return  # a checkpoint and its manifests can be made again: the log stands by itself
    forget_indexes()
    key, surface = (KEY, "canonical") if "/small/" in path else (MADE, "derived")
    try:
        found = small.opened("operations").surface(surface)[key].verify(deep=True)
    except arraystore.ArrayStoreError:
        return
    if not found:
        tally.unnoticed[kind_of(path)] += 1


NEARBY = {"tags": ["tag"], "lineage": ["dependents"], "_journal": ["changes", "find"], "_catalog": ["changes", "find"], "derived": ["made"]}


def questions_for(path: str) -> list[str]:
    """The quickest questions whose answer stands on a file."""
    for part, names in NEARBY.items():
        if part in path:
            return names
    return ["whole"] if "/small/" in path else ["columns"]


def bits_of(data: bytes, chosen: Iterator[int]) -> Iterator[bytes]:
    """The data with one bit changed, for each of the chosen ones."""
    for bit in chosen:
        yield data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :]


def flip_every(small: Small, tally: Tally, *, step: int = 1, in_full: int = 0, seed: int = 0) -> None:
    """Flip each `step`-th bit of every file and ask what stands on it; every `in_full`-th time ask everything, and verify."""
    chance = random.Random(seed)
    for path in small.paths():
        data = small.objects[path]
        for changed in bits_of(data, iter(range(chance.randrange(min(step, len(data) * 8)) if data else 0, len(data) * 8, step))):
            small.objects[path] = changed
            tally.changes += 1
            full = in_full and tally.changes % in_full == 0
            ask(small, path, tally, None if full else questions_for(path))
            if full:
                verify(small, path, tally)
        small.objects[path] = data


def replaced(small: Small, rng: random.Random) -> Iterator[tuple[str, dict[str, bytes | None]]]:
    """Files deleted, cut, lengthened, emptied, doubled, swapped and copied over each other, each with the objects it changes."""
    paths = small.paths()
    for path in paths:
        data = small.objects[path]
        yield path, {path: None}
        yield path, {path: data[:-1]}
        yield path, {path: data + b"\0"}
        yield path, {path: b""}
        yield path, {path: data + data}
        yield path, {path: data[: len(data) // 2]}
        yield path, {path: rng.randbytes(len(data))}
        yield path, {path: bytes(len(data))}
    alike: dict[int, list[str]] = {}
    for path in paths:
        alike.setdefault(len(small.objects[path]), []).append(path)
    pairs = [(one, other) for found in alike.values() for one in found for other in found if one < other]
    pairs += [tuple(rng.sample(paths, 2)) for _ in range(len(paths))]  # type: ignore[misc]
    for one, other in pairs:
        if small.objects[one] != small.objects[other]:
            yield one, {one: small.objects[other], other: small.objects[one]}
            yield one, {one: small.objects[other]}


def chunks_moved(small: Small) -> Iterator[tuple[str, dict[str, bytes | None]]]:
    """Within one object: halves exchanged, a piece written twice."""
    for path in small.paths():
        data = small.objects[path]
        half = len(data) // 2
        if data[:half] != data[half : 2 * half]:
            yield path, {path: data[half : 2 * half] + data[:half] + data[2 * half :]}
            yield path, {path: data[:half] * 2 + data[2 * half :]}


def change(small: Small, changes: Iterator[tuple[str, dict[str, bytes | None]]], tally: Tally) -> None:
    """Carry out each change, ask everything, verify, and undo it."""
    for path, changed in changes:
        before = {name: small.objects[name] for name in changed}
        for name, data in changed.items():
            if data is None:
                del small.objects[name]
            else:
                small.objects[name] = data
        tally.changes += 1
        ask(small, path, tally, changed=changed)
        verify(small, path, tally)
        small.objects.update(before)
