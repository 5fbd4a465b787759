"""Where files go: each dataset is found, or made, once; and which rows of a table go to which."""

import threading
from dataclasses import dataclass, field
from string import Formatter
from typing import Any

import msgspec

from arraystore.datasets.dataset import Dataset
from arraystore.errors import InvalidInput, NotFound, Problem
from arraystore.ingest.converter import converter_for
from arraystore.ingest.divide import Destination, Divider, Values
from arraystore.ingest.mapping import ColumnRule, Mapping
from arraystore.ingest.names import Names
from arraystore.ingest.rules import merged_reads, schema_from
from arraystore.place import require
from arraystore.store import Store
from layouts.classes import Action, StorageClass, parse_storage_class
from layouts.naming import escape, parse_key

ALL = "_all"
INSTRUMENT = "instrument"


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

    def place(self, names: Names) -> tuple[StorageClass, str]:
        """The class and escaped key that rows of these names go to."""
        storage_class, _, key = names.key(self.into, "into").partition("/")
        if key.endswith(f"/{ALL}"):
            key = key.removesuffix(ALL) + escape(ALL)
        parsed = parse_storage_class(storage_class)
        parse_key(parsed, key)
        return parsed, key

    def address(self, names: Names) -> str:
        """The same in one text."""
        return "/".join(self.place(names))

    def dataset(self, names: Names) -> Dataset | None:
        """The dataset, as it was when first asked for; None if there is none yet."""
        storage_class, key = self.place(names)
        address = f"{storage_class}/{key}"
        with self._guard:
            if address not in self._datasets:
                # A dry run writes nothing, so nothing else would refuse.
                require(self.store.role, Action.WRITE, storage_class, parse_key(storage_class, key))
                try:
                    self._datasets[address] = self.store.surface(storage_class)[key]
                except NotFound:
                    self._datasets[address] = None
            return self._datasets[address]

    def made(self, names: Names) -> Dataset:
        """The dataset, made now if there is none."""
        storage_class, key = self.place(names)
        if (found := self.dataset(names)) is not None:
            return found
        made = self.store.surface(storage_class).create(key, schema_from(self.mapping, names), exist_ok=True)
        with self._guard:
            self._datasets[f"{storage_class}/{key}"] = made
        return made

    def divider(self, names: Names) -> Divider:
        """How the rows of a table of these names are made, and where they go."""
        split = self.mapping.file.split
        named = {name for _, name, _, _ in Formatter().parse(self.into) if name}
        used = tuple(name for name in split if name in named)
        shared = INSTRUMENT in self.mapping.columns
        finder = _Finder(target=self, names=names, split=used, same=() if shared else tuple(name for name in split if name not in used))
        example = finder.destination(tuple("0" for _ in used)) if used else finder(())
        finder.reads = merged_reads(example.converter.rules, ())
        return Divider(rule=self.mapping.file, split=used, example=example.converter, find=finder)


@dataclass(slots=True, kw_only=True)
class _Finder:
    """Finds the destination of rows that have these values in the columns by which a table is split."""

    target: Target
    names: Names
    split: tuple[str, ...]
    same: tuple[str, ...]
    reads: dict[Any, str] = field(default_factory=dict)
    _found: dict[Values, Destination] = field(default_factory=dict)
    _owners: dict[str, Values] = field(default_factory=dict)

    def __call__(self, values: Values) -> Destination:
        """The destination; the same whenever it is asked for."""
        if values not in self._found:
            found = self.destination(values)
            if self._owners.setdefault(found.address, values) != values:
                told = f"{' '.join(self._owners[found.address])} and {' '.join(values)} both go to {found.address}"
                raise InvalidInput(Problem("into", f"{told}: put something between the names in it"))
            if self.reads and merged_reads(found.converter.rules, ()) != self.reads:
                told = "has columns of other kinds than the mapping's schema"
                raise InvalidInput(Problem(found.address, f"{told}: ingest its rows by themselves, with --into and file.where"))
            self._found[values] = found
        return self._found[values]

    def destination(self, values: Values) -> Destination:
        """A destination made anew."""
        if empty := [name for name, value in zip(self.split, values, strict=True) if not value]:
            raise InvalidInput(Problem(f"column {empty[0]!r}", "is empty, and tells which dataset the row goes to (file.split)"))
        names = self.names.with_texts(dict(zip(self.split, values, strict=True)))
        dataset = self.target.dataset(names)
        schema = dataset.schema if dataset is not None else schema_from(self.target.mapping, names)
        converter = converter_for(self.target.mapping, schema, names, self.same)
        return Destination(address=self.target.address(names), converter=converter)


def for_all_instruments(mapping: Mapping, into: str) -> Mapping:
    """The mapping for a dataset of many instruments (`…/_all`), which gets a column that names them, unless the mapping says it itself."""
    rule = mapping.schema_rule
    if into.rpartition("/")[2] != ALL or not mapping.file.split or INSTRUMENT in mapping.columns or rule.columns:
        return mapping
    schema = msgspec.structs.replace(rule, options={**rule.options, "all_instruments": True})
    columns = {**mapping.columns, INSTRUMENT: ColumnRule(source=mapping.file.split[-1])}
    return msgspec.structs.replace(mapping, schema=schema, columns=columns)
