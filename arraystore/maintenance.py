"""Maintenance of many datasets of a store: what is done to one, done to all that patterns name."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase

from arraystore.arguments import texts
from arraystore.dataset import Dataset
from arraystore.errors import InvalidInput, NotFound
from arraystore.place import require
from arraystore.surface import Surface
from layouts.classes import Action, Role, StorageClass
from layouts.naming import format_key

type Surfaces = Callable[[StorageClass], Surface]


def named(surfaces: Surfaces, role: Role, patterns: str | Iterable[str], action: Action) -> Iterator[tuple[str, Surface, tuple[str, ...]]]:
    """Address, surface and key of every dataset that a pattern names, or lies below; the role must be allowed the action in each class.

    Patterns are escaped addresses, with `*` and `?`: `raw`, `canonical/*/trades`, `*`.
    """
    wanted = [pattern.rstrip("/") for pattern in ((patterns,) if isinstance(patterns, str) else texts(patterns, "patterns"))]
    if not wanted:
        raise InvalidInput("name what is meant, such as 'canonical/*/trades'; '*' is all", "patterns")
    classes = [each for each in StorageClass if any(fnmatchcase(each.value, pattern.partition("/")[0]) for pattern in wanted)]
    for storage_class in classes:
        require(role, action, storage_class)
    found = False
    for storage_class in classes:
        surface = surfaces(storage_class)
        for key in surface.find():
            address = f"{storage_class.value}/{format_key(key)}"
            if any(fnmatchcase(address, pattern) or fnmatchcase(address, f"{pattern}/*") for pattern in wanted):
                found = True
                yield address, surface, key
    if not found and wanted != ["*"]:
        raise NotFound(f"no dataset matches {' or '.join(map(repr, wanted))}; `arraystore ls` lists them")


def on_each[T](
    surfaces: Surfaces, role: Role, patterns: str | Iterable[str], action: Action, step: Callable[[Dataset], T]
) -> Mapping[str, T]:
    """What a step returned, by address."""
    return {address: step(surface[key]) for address, surface, key in named(surfaces, role, patterns, action)}
