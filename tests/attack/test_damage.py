"""One bit flips in any file, files change places, files vanish: reads give the right bytes or an error of ours, and verify finds it."""

import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import combinations
from unittest import mock

import numpy as np
import pytest

import arraystore
from arraystore import Column, Kind, Schema
from arraystore.segments.index import forget_indexes
from tests.attack.power import Disk
from tests.attack.scenarios import in_session, opened, running, seal
from tests.attack.test_values import bits
from tests.store.conftest import START

LEAN = Schema(
    name="lean",
    order="arrival",
    columns=(
        Column(name="time", kind=Kind.TIME),
        Column(name="value", nullable=True),
        Column(name="label", kind=Kind.DICTIONARY),
        Column(name="payload", kind=Kind.BYTES),
    ),
)
KEYS = (("venue", "kinds", "X"), ("venue", "kinds", "Y"))
PLACES = (
    *(("canonical", key) for key in KEYS),
    ("canonical", ("venue", "trades", "X")),
    ("experiments", ("experiment", "run")),
    ("execution-records", ("live", "s", "fills")),
)
FLIPS_PER_FILE = 2
NAMED = re.compile(r"/_log/\d+$|/_checkpoints/|/_manifests/|/_artifacts/|/\d+-[0-9a-f]{32}/|/(X|Y|run|fills)/zarr.json$")
"""What a kept version names: not the groups on the way, hints, locks and marks."""
SEGMENT = re.compile(r"/\d+-[0-9a-f]{32}/")


type Answers = dict[str, tuple[Callable[[Disk], object], object]]


def dataset(disk: Disk, place: tuple[str, tuple[str, ...]]) -> arraystore.Dataset:
    return opened(disk, "operations").surface(place[0])[place[1]]


def build() -> Disk:
    """Two datasets that are alike but for their values, with tails, segments, checkpoints and files; a run; a session."""
    disk = Disk()
    surface = opened(disk, "data-quality").canonical
    for number, key in enumerate(KEYS):
        found = surface.create(key, LEAN, attributes={"number": number})
        values = {
            "time": START + np.arange(6),
            "value": [0.5, None, -0.0, float(number), float("nan"), 1.0],
            "label": ["", "a", "b", "a", "é", ""],
            "payload": [bytes([number]) * 6] * 6,
        }
        for _ in range(7):
            found.append(values)
        with mock.patch("arraystore.datasets.writer.TAIL_BYTES", -1):
            found.append(values)
        found.replace("2024-08-08", values, reason="corrected")
        for _ in range(7):
            found.append(values, reopen=True)
        found.add_file(bytes([number]) * 5000, "file")
    running(disk)
    seal(disk)
    in_session(disk)
    return disk


def content(view: arraystore.DatasetView) -> object:
    """All rows, by window, and all files."""
    return {name: bits(view.read(window=name)) for name in view.windows()}, {n: a.read() for n, a in view.artifacts().items()}


def reads(whole: Disk) -> dict[str, Callable[[Disk], object]]:
    """Every way to read, each to be asked of a damaged disk."""
    calls: dict[str, Callable[[Disk], object]] = {"changes": lambda disk: list(opened(disk, "operations").canonical.changes())}
    for place in PLACES:
        found = dataset(whole, place)
        name, pin = "/".join(place[1]), found.pin()
        calls[f"{name} newest"] = lambda disk, place=place: content(dataset(disk, place))
        calls[f"{name} history"] = lambda disk, place=place: dataset(disk, place).versions()
        calls[f"{name} manifests"] = lambda disk, place=place: [m.to_json() for m in dataset(disk, place).manifests()]
        for version in {2, max(2, found.version - 3)}:
            calls[f"{name} at {version}"] = lambda disk, place=place, version=version: content(dataset(disk, place).at(version))
        if place[0] == "canonical":
            calls[f"{name} pinned"] = lambda disk, pin=pin: content(opened(disk, "operations").open_pin(pin))
    return calls


@pytest.fixture(scope="module")
def whole() -> Disk:
    with mock.patch("arraystore.versions.checkpoint.MINIMUM_LOG_BYTES", 4096):
        return build()


@pytest.fixture(scope="module")
def answers(whole: Disk) -> Answers:
    return {name: (call, call(whole)) for name, call in reads(whole).items()}


def ask(disk: Disk, answers: Answers, path: str) -> dict[str, str]:
    """What was answered wrongly: nothing, if every call that has to do with the path gave the right answer or an error of ours."""
    wrong = {}
    key = next(("/".join(place[1]) for place in PLACES if f"/{'/'.join(place[1])}/" in path), "")
    for name, (call, wanted) in answers.items():
        if name.startswith(key) or (name == "changes" and not SEGMENT.search(path)):
            forget_indexes()
            try:
                if call(disk) != wanted:
                    wrong[name] = "another answer"
            except arraystore.ArrayStoreError:
                pass
            except BaseException as error:  # noqa: BLE001 - whatever it is, it isn't ours
                wrong[name] = repr(error)
    return wrong


def findings(disk: Disk, path: str) -> list[str]:
    """What verify says of the dataset that a path belongs to; an error of ours when it is opened says enough."""
    place = next(place for place in PLACES if f"/{place[0]}/{'/'.join(place[1])}/" in path)
    forget_indexes()
    try:
        return [finding.problem for finding in dataset(disk, place).verify(deep=True)]
    except arraystore.ArrayStoreError as error:
        return [str(error)]


def damaged(whole: Disk, path: str, data: bytes | None) -> Disk:
    disk = whole.copy()
    if data is None:
        del disk.live[path]
    else:
        disk.live[path] = data
    return disk


def flips(data: bytes, count: int, seed: int) -> Iterator[tuple[int, bytes]]:
    chance = random.Random(seed)
    for place in sorted(chance.sample(range(len(data)), min(count, len(data)))):
        yield place, data[:place] + bytes([data[place] ^ (1 << chance.randrange(8))]) + data[place + 1 :]


def check_flips(whole: Disk, answers: Answers, count: int) -> None:
    named = 0
    for number, (path, data) in enumerate(sorted(whole.live.items())):
        for place, flipped in flips(data, count, number):
            disk = damaged(whole, path, flipped)
            assert not ask(disk, answers, path), f"{path}, byte {place}"
            if NAMED.search(path):
                named += 1
                assert findings(disk, path), f"{path}, byte {place}"
    assert named > 100


def test_a_flipped_bit_never_gives_a_wrong_answer_and_is_found(whole: Disk, answers: Answers) -> None:
    names = {path.rpartition("/")[2] for path in whole.live}
    assert {"zarr.json", "_index", "0", "data", f"{1:020d}"} < names
    assert all(any(folder in path for path in whole.live) for folder in ("/_checkpoints/", "/_manifests/", "/_artifacts/"))
    assert not [finding for place in PLACES for finding in dataset(whole, place).verify(deep=True)]
    check_flips(whole, answers, FLIPS_PER_FILE)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_hundred_flipped_bits_in_each_file_never_give_a_wrong_answer_and_are_found(whole: Disk, answers: Answers) -> None:
    check_flips(whole, answers, 200)


def test_files_that_change_places_are_told_apart(whole: Disk, answers: Answers) -> None:
    alike = defaultdict(list)
    for path, data in sorted(whole.live.items()):
        if NAMED.search(path):
            alike[len(data)].append(path)
    pairs = [pair for paths in alike.values() for pair in combinations(paths, 2) if whole.live[pair[0]] != whole.live[pair[1]]]
    assert len(pairs) > 60
    for one, other in random.Random(5).sample(pairs, 40):
        disk = damaged(whole, one, whole.live[other])
        disk.live[other] = whole.live[one]
        assert not ask(disk, answers, one), (one, other)
        assert findings(disk, one), (one, other)


def test_files_that_vanish_are_missed(whole: Disk, answers: Answers) -> None:
    """Of the newest commit nobody can know who wasn't told of it; what is read then is the version before it."""
    newest = {f"{dataset(whole, place).version:020d}" for place in PLACES}
    for path in sorted(whole.live):
        disk = damaged(whole, path, None)
        if "/_log/" in path and path.rpartition("/")[2] in newest:
            assert set(ask(disk, answers, path)) <= {n for n in answers if n.endswith(("newest", "history", "manifests", "changes"))}, path
            continue
        assert not ask(disk, answers, path), path
        if NAMED.search(path) and "/_checkpoints/" not in path and "/_manifests/" not in path:
            assert findings(disk, path), path


def test_files_that_are_cut_short_or_grow_are_found(whole: Disk, answers: Answers) -> None:
    for number, (path, data) in list(enumerate(sorted(whole.live.items())))[::2]:
        changed = (data[:-1], data + b"\0", b"", data + data)[number // 2 % 4]
        disk = damaged(whole, path, changed)
        assert not ask(disk, answers, path), (path, len(changed))
        if NAMED.search(path):
            assert findings(disk, path), (path, len(changed))
