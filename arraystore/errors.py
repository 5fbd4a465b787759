"""Every error of arraystore, grouped by what the caller does next.

ArrayStoreError
├── Retry                      try again; nothing of yours was committed
│   ├── Conflict               another writer changed what your plan stood on
│   ├── QueueFull              an appender holds as many rows as it may
│   └── PlanExpired            your segments are older than the garbage floor: write them again
├── FixTheCall                 the call can't succeed as it is; nothing was written
│   ├── InvalidInput           a ValueError with all problems (defined in `layouts`)
│   ├── AccessDenied           a PermissionError: this role may not do that to this class
│   ├── NotFound               a KeyError: no such store, dataset, version, window, artifact
│   │   ├── VersionExpired     it was there, and retention removed it
│   │   └── Purged             the rows were there, and were purged from every version: who, when and why
│   ├── AlreadyExists          a FileExistsError
│   └── WindowClosed           the window is complete, or the dataset sealed
├── StopAndVerify              don't go on before looking
│   ├── Corrupt                bytes aren't what was written; names dataset, window, segment, file
│   ├── CommitUnknown          the commit may or may not have become durable: read before repeating
│   └── Unsupported            written by a newer format, or with features unknown here
└── StorageError               an OSError: the medium refused (full, read-only, unreachable)
"""

from layouts.problems import ArrayStoreError, InvalidInput, Problem

__all__ = [
    "AccessDenied",
    "AlreadyExists",
    "ArrayStoreError",
    "CommitUnknown",
    "Conflict",
    "Corrupt",
    "FixTheCall",
    "InvalidInput",
    "NotFound",
    "PlanExpired",
    "Problem",
    "Purged",
    "QueueFull",
    "Retry",
    "StopAndVerify",
    "StorageError",
    "Unsupported",
    "VersionExpired",
    "WindowClosed",
]


class Retry(ArrayStoreError):
    """Try again: nothing of this call was committed."""


class Conflict(Retry):
    """Another writer changed what this call's plan stood on."""


class PlanExpired(Retry):
    """The segments written for this commit are older than the garbage floor; write them again."""


class QueueFull(Retry):
    """An appender holds as many rows as it may; these weren't taken."""


class FixTheCall(ArrayStoreError):
    """The call can't succeed as it is; nothing was written."""


class AccessDenied(FixTheCall, PermissionError):
    """This role may not do that to this storage class."""


class NotFound(FixTheCall, KeyError):
    """There is no such store, dataset, version, window or artifact."""

    def __str__(self) -> str:  # KeyError shows the repr of its argument
        return str(self.args[0]) if self.args else ""


class VersionExpired(NotFound):
    """The version was there, and retention removed it."""


class Purged(NotFound):
    """The rows were there, and were taken out of every version; what is left tells who did it, when and why."""


class AlreadyExists(FixTheCall, FileExistsError):
    """The name is taken."""


class WindowClosed(FixTheCall):
    """The window is complete, or the dataset sealed."""


class StopAndVerify(ArrayStoreError):
    """Don't go on before looking at the store."""


class Corrupt(StopAndVerify):
    """Bytes aren't what was written; the message names dataset, window, segment and file."""


class CommitUnknown(StopAndVerify):
    """The commit may or may not have become durable: read the log before repeating it."""


class Unsupported(StopAndVerify):
    """Written by a newer format, or with features unknown here."""


class StorageError(ArrayStoreError, OSError):
    """The medium refused: full, read-only, unreachable, failing."""
