"""Whatever is done to a storage in whatever order, it holds what a dictionary would."""

import shutil
import tempfile

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from obstore.store import MemoryStore

from arraystore.errors import AlreadyExists, NotFound
from arraystore.storage import Listing, LocalStorage, MemoryStorage
from arraystore.storage.objects import ObjectStorage

# No key is the beginning of another.
KEYS = st.sampled_from(["a", "b", "d/a", "d/b", "d/e/a", "d/e/f/a", "g/a", "=41/_x"])
DATA = st.binary(max_size=20)
RANGES = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)).map(lambda pair: tuple(sorted(pair))), max_size=5)


class StorageMachine(RuleBasedStateMachine):
    """A storage beside the dictionary that it should be."""

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[str, bytes] = {}
        self.storage = self.fresh()

    def fresh(self):
        return MemoryStorage()

    @rule(key=KEYS, data=DATA)
    def create(self, key, data):
        if key in self.model:
            with pytest.raises(AlreadyExists):
                self.storage.create(key, data)
        else:
            self.storage.create(key, data)
            self.model[key] = data

    @rule(key=KEYS, data=DATA, durable=st.booleans())
    def put(self, key, data, durable):
        self.storage.put(key, data, durable=durable)
        self.model[key] = data

    @rule(keys=st.lists(KEYS, unique=True, max_size=4), pieces=st.lists(DATA, max_size=3), fails=st.booleans())
    def batch(self, keys, pieces, fails):
        added = {}
        try:
            with self.storage.batch() as batch:
                for key in keys:
                    if key in self.model:
                        with pytest.raises(AlreadyExists):
                            batch.put(key, [*pieces, b"not what is there"])
                    else:
                        assert batch.put(key, iter(pieces)) == sum(map(len, pieces))
                        added[key] = b"".join(pieces)
                if fails:
                    raise KeyError
        except KeyError:
            return
        self.model |= added

    @rule(key=KEYS)
    def delete(self, key):
        self.storage.delete(key)
        self.model.pop(key, None)

    @rule(key=KEYS, ranges=RANGES)
    def read(self, key, ranges):
        assert self.storage.exists(key) == (key in self.model)
        if key in self.model:
            data = self.model[key]
            assert self.storage.get(key) == data
            assert self.storage.size(key) == len(data)
            assert self.storage.get_ranges(key, ranges) == [data[start:stop] for start, stop in ranges]
            assert [*self.storage.iter_ranges(key, ranges)] == [data[start:stop] for start, stop in ranges]
        else:
            with pytest.raises(NotFound):
                self.storage.get_ranges(key, ranges)

    @rule(prefix=st.sampled_from(["", "d", "d/e"]))
    def sync(self, prefix):
        self.storage.sync(prefix)

    @invariant()
    def listings_agree(self):
        for prefix in ("", "d", "d/e", "d/e/f", "=41", "nowhere"):
            head = f"{prefix}/" if prefix else ""
            below = [key.removeprefix(head) for key in self.model if key.startswith(head)]
            objects = tuple(sorted(name for name in below if "/" not in name))
            prefixes = tuple(sorted({name.partition("/")[0] for name in below if "/" in name}))
            assert self.storage.list(prefix) == Listing(objects, prefixes)


class LocalMachine(StorageMachine):
    def fresh(self):
        self.folder = tempfile.mkdtemp()
        return LocalStorage(self.folder)

    def teardown(self):
        shutil.rmtree(self.folder)


class ObjectMachine(StorageMachine):
    def fresh(self):
        return ObjectStorage(MemoryStore())


TestMemory = StorageMachine.TestCase
TestLocal = LocalMachine.TestCase
TestObjects = ObjectMachine.TestCase
TestMemory.settings = TestObjects.settings = settings(stateful_step_count=20)
TestLocal.settings = settings(max_examples=25, stateful_step_count=15)
