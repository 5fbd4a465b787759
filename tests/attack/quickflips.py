"""Bits of a small store flipped by the million: of each file, only the quickest question is asked that reads it.

A question that reads nothing of a file can't answer otherwise when it changes, so it needn't be asked. Every so often all are.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import arraystore
from arraystore.segments.index import forget_indexes
from tests.attack.flips import KEY, MADE, Small, Tally, ask, is_beyond, kind_of, names_place, plain, verify


class Recording(dict[str, bytes]):
    """The objects of a store in memory, and which of them were read."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        super().__init__(objects)
        self.read: set[str] = set()

    def get(self, key, default=None):
        self.read.add(key)
        return super().get(key, default)


@dataclass(frozen=True, slots=True)
class Question:
    """Something to ask, its right answer, and what is read for it."""

    name: str
    ask: Callable[[], object]
    answer: object
    reads: frozenset[str]
    seconds: float


def questions(small: Small) -> list[Question]:
    """Every way to read, as a new process would; each column and the file by a handle that knows all but them; the quickest first."""
    view = small.opened("operations").canonical[KEY]

    def fresh(call: Callable[[arraystore.Store], object]) -> Callable[[], object]:
        def asked() -> object:
            forget_indexes()
            return call(small.opened("operations"))

        return asked

    def column(name: str, *, cold: bool) -> Callable[[], object]:
        def asked() -> object:
            if cold:
                forget_indexes()
            return plain(view.read(columns=[name], window="2024-08-08", threads=1))

        return asked

    given = {name: fresh(call) for name, call in small.calls().items()}
    given["head"] = fresh(lambda store: store.canonical[KEY].version)
    given["head of what was made"] = fresh(lambda store: store.derived[MADE].version)
    given["commits"] = view.versions
    given["commits of what was made"] = small.opened("operations").derived[MADE].versions
    given["file"] = view.artifacts()["file"].read
    if "2024-08-08" in view.windows():
        for name in (each.name for each in view.schema.columns):
            given[f"column {name}"] = column(name, cold=False)
            given[f"column {name} and its index"] = column(name, cold=True)
    return sorted((_asked(small, name, call) for name, call in given.items()), key=lambda question: question.seconds)


def _asked(small: Small, name: str, call: Callable[[], object]) -> Question:
    answer = call()
    recording = Recording(small.objects)
    small.storage._space.objects = recording
    call()
    small.storage._space.objects = dict(recording)
    begin = time.process_time()
    for _ in range(20):
        assert call() == answer
    return Question(name, call, answer, frozenset(recording.read), time.process_time() - begin)


def flip_each(small: Small, tally: Tally, bits: Iterable[int], *, in_full: int) -> int:
    """Flip these bits of every byte of every file, and ask; how many lie in files that no question reads, which only verify covers."""
    ways, unread = questions(small), 0
    for path in small.paths():
        data = small.objects[path]
        quickest = next((way for way in ways if path in way.reads), None)
        for place in range(len(data)):
            for bit in bits:
                small.objects[path] = b"".join((data[:place], bytes((data[place] ^ 1 << bit,)), data[place + 1 :]))
                tally.changes += 1
                if tally.changes % in_full == 0:
                    ask(small, path, tally)
                    verify(small, path, tally)
                    forget_indexes()
                if quickest is None:
                    unread += 1
                else:
                    _ask(small, path, quickest, tally)
        small.objects[path] = data
        forget_indexes()
        if quickest is not None:
            assert quickest.ask() == quickest.answer
    return unread


def _ask(small: Small, path: str, question: Question, tally: Tally) -> None:
    tally.asked += 1
    try:
        if question.ask() != question.answer and not is_beyond(small, path, question.name):
            tally.silent.append(f"{small.schema} {small.profile} {path}: {question.name}")
    except arraystore.ArrayStoreError as error:
        tally.refused += 1
        if not names_place(str(error), path):
            tally.unnamed[f"{kind_of(path)}: {type(error).__name__}: {str(error)[:160]}"] += 1
    except Exception as error:  # noqa: BLE001 - whatever it is, it isn't ours
        tally.strange[f"{kind_of(path)}: {question.name}: {error!r:.200}"] += 1
