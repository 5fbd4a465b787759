"""Where files go: each dataset is found, or made, once."""

import threading
from dataclasses import dataclass, field
from typing import Any

from arraystore.dataset import Dataset
from arraystore.errors import NotFound
from arraystore.ingest.mapping import Mapping
from arraystore.ingest.names import Names
from arraystore.ingest.rules import schema_from
from arraystore.place import require
from arraystore.store import Store
from layouts.classes import Action, StorageClass, parse_storage_class
from layouts.naming import parse_key


@dataclass(slots=True, kw_only=True)
class Target:
    """Where files go; makes each dataset once, however many threads want it."""

    store: Store
    mapping: Mapping
    name: str
    into: str
    resume: bool
    dry_run: bool
    options: dict[str, Any]
    _datasets: dict[str, Dataset | None] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def address(self, names: Names) -> tuple[StorageClass, str]:
        """The class and escaped key that a file of these names goes to."""
        storage_class, _, key = names.key(self.into, "into").partition("/")
        parsed = parse_storage_class(storage_class)
        parse_key(parsed, key)
        return parsed, key

    def dataset(self, names: Names) -> Dataset | None:
        """The dataset, as new as it is now; a dry run makes none."""
        storage_class, key = self.address(names)
        address = f"{storage_class}/{key}"
        with self._guard:
            if address not in self._datasets:
                surface = self.store.surface(storage_class)
                # A dry run writes nothing, so nothing else would refuse.
                require(self.store.role, Action.WRITE, storage_class, parse_key(storage_class, key))
                try:
                    self._datasets[address] = surface[key]
                except NotFound:
                    self._datasets[address] = None if self.dry_run else surface.create(key, schema_from(self.mapping, names), exist_ok=True)
            return self._datasets[address]
