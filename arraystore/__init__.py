"""The persistent data layer of a quantitative trading system: versioned, durable time series in plain Zarr v3.

    >>> import arraystore
    >>> store = arraystore.open_store("memory://first-look", role="data-quality", create=True)
    >>> trades = store.canonical.create(("venue", "trades", "BTC/USD"), arraystore.schema_by_name("trades"))
    >>> trades.append({"time": [1, 2], "price": [10.0, 10.5], "size": [1.0, 2.0], "side": [1, -1], "flags": [0, 0]}).version
    2
    >>> trades.read(columns=["price"])["price"]
    array([10. , 10.5])

Every public name is importable from here; nothing else is public.
"""

import importlib
from typing import TYPE_CHECKING, Any

from arraystore.adding import Receipt
from arraystore.ancestry import Ancestor, Stale
from arraystore.appender import Appender, Committed, SessionAppender
from arraystore.appendqueue import Unacknowledged
from arraystore.artifacts import Artifact
from arraystore.auditing import Anchor, Audit, Audited, Head, Heads, Written
from arraystore.changes import Change, Changes
from arraystore.columns import Decimals, Labels, Ragged
from arraystore.commit import ArtifactEntry, Pin
from arraystore.dataset import Dataset
from arraystore.diff import Diff, WindowDiff
from arraystore.entry import Entry
from arraystore.errors import (
    AccessDenied,
    AlreadyExists,
    ArrayStoreError,
    CommitUnknown,
    Conflict,
    Corrupt,
    FixTheCall,
    InvalidInput,
    NotFound,
    PlanExpired,
    Problem,
    Purged,
    QueueFull,
    Retry,
    StopAndVerify,
    StorageError,
    Unsupported,
    VersionExpired,
    WindowClosed,
)
from arraystore.frame import Frame
from arraystore.ingest import ingest, shipped_mappings
from arraystore.lineage import Dependent
from arraystore.lint import lint
from arraystore.manifest import Manifest, Version
from arraystore.roots import init_store
from arraystore.store import ClassSummary, Store, open_store, summarise
from arraystore.surface import Surface
from arraystore.symbols import Instrument, Period
from arraystore.tags import Tag
from arraystore.verification import Covered, Verification
from arraystore.verify import Finding
from arraystore.view import DatasetView
from layouts import (
    SCHEMAS,
    Action,
    Clock,
    Column,
    Kind,
    Order,
    Profile,
    Role,
    Schema,
    StorageClass,
    Window,
    WindowLength,
    parse_time,
    schema_by_name,
)
from layouts.deviations import Deviation, Severity

if TYPE_CHECKING:
    from arraystore.cases import Note, QuarantineCase
    from arraystore.copying import Copied
    from arraystore.execution import ExecutionSurface, SequenceRange, Session
    from arraystore.experiments import Experiment, ExperimentsSurface
    from arraystore.following import Follower, Update
    from arraystore.ingest.reports import FileReport, IngestReport
    from arraystore.mending import Mended, Restored
    from arraystore.quarantine import QuarantineSurface
    from arraystore.reconciliation import Reconciliation, reconcile
    from arraystore.recovery import Recovery
    from arraystore.repairing import Repaired
    from arraystore.runs import Run
    from arraystore.runtable import RunRow, RunTable
    from arraystore.shipping import Shipped
    from arraystore.status import ClassStatus

__version__ = "0.1.0"

__all__ = [
    "SCHEMAS",
    "AccessDenied",
    "Action",
    "AlreadyExists",
    "Ancestor",
    "Anchor",
    "Appender",
    "ArrayStoreError",
    "Artifact",
    "ArtifactEntry",
    "Audit",
    "Audited",
    "Change",
    "Changes",
    "ClassStatus",
    "ClassSummary",
    "Clock",
    "Column",
    "CommitUnknown",
    "Committed",
    "Conflict",
    "Copied",
    "Corrupt",
    "Covered",
    "Dataset",
    "DatasetView",
    "Decimals",
    "Dependent",
    "Deviation",
    "Diff",
    "Entry",
    "ExecutionSurface",
    "Experiment",
    "ExperimentsSurface",
    "FileReport",
    "Finding",
    "FixTheCall",
    "Follower",
    "Frame",
    "Head",
    "Heads",
    "IngestReport",
    "Instrument",
    "InvalidInput",
    "Kind",
    "Labels",
    "Manifest",
    "Mended",
    "NotFound",
    "Note",
    "Order",
    "Period",
    "Pin",
    "PlanExpired",
    "Problem",
    "Profile",
    "Purged",
    "QuarantineCase",
    "QuarantineSurface",
    "QueueFull",
    "Ragged",
    "Receipt",
    "Reconciliation",
    "Recovery",
    "Repaired",
    "Restored",
    "Retry",
    "Role",
    "Run",
    "RunRow",
    "RunTable",
    "Schema",
    "SequenceRange",
    "Session",
    "SessionAppender",
    "Severity",
    "Shipped",
    "Stale",
    "StopAndVerify",
    "StorageClass",
    "StorageError",
    "Store",
    "Surface",
    "Tag",
    "Unacknowledged",
    "Unsupported",
    "Update",
    "Verification",
    "Version",
    "VersionExpired",
    "Window",
    "WindowClosed",
    "WindowDiff",
    "WindowLength",
    "Written",
    "ingest",
    "init_store",
    "lint",
    "open_store",
    "parse_time",
    "reconcile",
    "schema_by_name",
    "shipped_mappings",
    "summarise",
]

_LOADED_WHEN_USED = {
    name: module
    for module, names in {
        "arraystore.cases": ["Note", "QuarantineCase"],
        "arraystore.copying": ["Copied"],
        "arraystore.execution": ["ExecutionSurface", "SequenceRange", "Session"],
        "arraystore.experiments": ["Experiment", "ExperimentsSurface"],
        "arraystore.following": ["Follower", "Update"],
        "arraystore.ingest.reports": ["FileReport", "IngestReport"],
        "arraystore.mending": ["Mended", "Restored"],
        "arraystore.quarantine": ["QuarantineSurface"],
        "arraystore.reconciliation": ["Reconciliation", "reconcile"],
        "arraystore.recovery": ["Recovery"],
        "arraystore.repairing": ["Repaired"],
        "arraystore.runs": ["Run"],
        "arraystore.runtable": ["RunRow", "RunTable"],
        "arraystore.shipping": ["Shipped"],
        "arraystore.status": ["ClassStatus"],
    }.items()
    for name in names
}


def __getattr__(name: str) -> Any:
    if name not in _LOADED_WHEN_USED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(_LOADED_WHEN_USED[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
