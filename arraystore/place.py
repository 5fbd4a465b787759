"""Where a dataset lies and who looks at it: the one check of the access matrix, made before any I/O."""

from dataclasses import dataclass
from functools import lru_cache
from logging import WARNING

from arraystore.errors import AccessDenied
from arraystore.logs import tell
from arraystore.storage.base import Storage
from layouts.classes import Action, Role, StorageClass, may, who_may
from layouts.naming import format_key

_NOBODY = {
    Action.REPLACE: "nobody, because what was written there stays as it is: append what corrects it, or write under another key",
    Action.DELETE: "nobody, because datasets of this class stay: withdraw windows where the class allows it, or purge them as operations",
}

_may = lru_cache(4096)(may)  # asked before every call of a writer, and always answered alike


def require(role: Role, action: Action, storage_class: StorageClass, key: tuple[str, ...] | None = None) -> None:
    """Raise AccessDenied, naming role, class and who may, unless the matrix allows it."""
    if not _may(role, storage_class, action, key):
        what = storage_class.value if key is None else f"{storage_class.value}/{format_key(key)}"
        allowed = ", ".join(who_may(storage_class, action, key)) or _NOBODY.get(action, "nobody")
        msg = f"role {role.value} may not {action.value} {what}; allowed: {allowed}"
        tell(WARNING, "access refused", role=role.value, action=action.value, what=what)
        raise AccessDenied(msg)


@dataclass(frozen=True, slots=True)
class Place:
    """A dataset's class root, key, and the role that looks at it."""

    storage: Storage
    storage_class: StorageClass
    key: tuple[str, ...]
    role: Role

    @property
    def path(self) -> str:
        """The dataset's path below its class root."""
        return format_key(self.key)

    def require(self, action: Action) -> None:
        """Raise AccessDenied unless this role may do that here."""
        require(self.role, action, self.storage_class, self.key)

    def __str__(self) -> str:
        return f"{self.storage_class.value}/{self.path}"
