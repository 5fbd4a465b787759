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

from arraystore.calendars import Sessions, TradingSession, sessions
from arraystore.classes.ancestry import Ancestor, Stale
from arraystore.classes.changes import Change, Changes
from arraystore.classes.roots import init_store
from arraystore.classes.surface import Surface
from arraystore.classes.symbols import Instrument, Period
from arraystore.classes.tags import Tag
from arraystore.datasets.adding import Receipt
from arraystore.datasets.ahead import WindowLoader
from arraystore.datasets.appender import Appender, Committed, SessionAppender
from arraystore.datasets.appendqueue import Unacknowledged
from arraystore.datasets.artifacts import Artifact
from arraystore.datasets.coverage import Coverage, WindowCoverage
from arraystore.datasets.dataset import Dataset
from arraystore.datasets.diff import Diff, WindowDiff
from arraystore.datasets.gaps import Gap
from arraystore.datasets.many import read_many
from arraystore.datasets.statistics import ColumnStats, DatasetStats
from arraystore.datasets.verify import Finding
from arraystore.datasets.view import DatasetView
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
from arraystore.frames.asof import AsOf
from arraystore.frames.columns import Decimals, Labels, Ragged
from arraystore.frames.frame import Frame
from arraystore.frames.scan import Scan
from arraystore.frames.windowframe import WindowFrame
from arraystore.ingest import ingest, shipped_mappings
from arraystore.linting import lint
from arraystore.store import ClassSummary, Store, open_store, summarise
from arraystore.upkeep.auditing import Anchor, Audit, Audited, Head, Heads, Written
from arraystore.upkeep.verification import Covered, Verification
from arraystore.versions.commit import ArtifactEntry, Pin
from arraystore.versions.entry import Entry
from arraystore.versions.lineage import Dependent
from arraystore.versions.manifest import Manifest, Version
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
    from arraystore.bridges.hftbacktest import to_hftbacktest
    from arraystore.bridges.nautilus import to_nautilus
    from arraystore.classes.cases import Note, QuarantineCase
    from arraystore.classes.execution import ExecutionSurface, SequenceRange, Session
    from arraystore.classes.experiments import Experiment, ExperimentsSurface
    from arraystore.classes.quarantine import QuarantineSurface
    from arraystore.classes.reconciliation import Reconciliation, reconcile
    from arraystore.classes.recovery import Recovery
    from arraystore.classes.runs import Run
    from arraystore.classes.runtable import RunRow, RunTable
    from arraystore.datasets.following import Follower, Update
    from arraystore.diagnosis import Check, doctor
    from arraystore.hdf5.importing import Hdf5Rows, import_hdf5, open_hdf5
    from arraystore.hdf5.sources import Exported, ExportProgress, export_hdf5
    from arraystore.ingest.reports import FileReport, IngestReport
    from arraystore.parquet import ParquetExport, ParquetProgress, export_parquet
    from arraystore.pictures.files import save_picture
    from arraystore.pictures.plots import DatasetPlots, StorePlots
    from arraystore.replays.batch import ReplayBatch, ReplayRecord
    from arraystore.replays.position import ReplayPosition
    from arraystore.replays.replay import Replay, replay
    from arraystore.replays.streams import ReplayStream
    from arraystore.upkeep.copying import Copied
    from arraystore.upkeep.mending import Mended, Restored
    from arraystore.upkeep.repairing import Repaired
    from arraystore.upkeep.shipping import Shipped
    from arraystore.upkeep.status import ClassStatus
    from arraystore.upkeep.usage import Usage

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
    "AsOf",
    "Audit",
    "Audited",
    "Change",
    "Changes",
    "Check",
    "ClassStatus",
    "ClassSummary",
    "Clock",
    "Column",
    "ColumnStats",
    "CommitUnknown",
    "Committed",
    "Conflict",
    "Copied",
    "Corrupt",
    "Coverage",
    "Covered",
    "Dataset",
    "DatasetPlots",
    "DatasetStats",
    "DatasetView",
    "Decimals",
    "Dependent",
    "Deviation",
    "Diff",
    "Entry",
    "ExecutionSurface",
    "Experiment",
    "ExperimentsSurface",
    "ExportProgress",
    "Exported",
    "FileReport",
    "Finding",
    "FixTheCall",
    "Follower",
    "Frame",
    "Gap",
    "Hdf5Rows",
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
    "ParquetExport",
    "ParquetProgress",
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
    "Replay",
    "ReplayBatch",
    "ReplayPosition",
    "ReplayRecord",
    "ReplayStream",
    "Restored",
    "Retry",
    "Role",
    "Run",
    "RunRow",
    "RunTable",
    "Scan",
    "Schema",
    "SequenceRange",
    "Session",
    "SessionAppender",
    "Sessions",
    "Severity",
    "Shipped",
    "Stale",
    "StopAndVerify",
    "StorageClass",
    "StorageError",
    "Store",
    "StorePlots",
    "Surface",
    "Tag",
    "TradingSession",
    "Unacknowledged",
    "Unsupported",
    "Update",
    "Usage",
    "Verification",
    "Version",
    "VersionExpired",
    "Window",
    "WindowClosed",
    "WindowCoverage",
    "WindowDiff",
    "WindowFrame",
    "WindowLength",
    "WindowLoader",
    "Written",
    "doctor",
    "export_hdf5",
    "export_parquet",
    "import_hdf5",
    "ingest",
    "init_store",
    "lint",
    "open_hdf5",
    "open_store",
    "parse_time",
    "read_many",
    "reconcile",
    "replay",
    "save_picture",
    "schema_by_name",
    "sessions",
    "shipped_mappings",
    "summarise",
    "to_hftbacktest",
    "to_nautilus",
]

_LOADED_WHEN_USED = {
    name: module
    for module, names in {
        "arraystore.bridges.hftbacktest": ["to_hftbacktest"],
        "arraystore.bridges.nautilus": ["to_nautilus"],
        "arraystore.classes.cases": ["Note", "QuarantineCase"],
        "arraystore.upkeep.copying": ["Copied"],
        "arraystore.classes.execution": ["ExecutionSurface", "SequenceRange", "Session"],
        "arraystore.classes.experiments": ["Experiment", "ExperimentsSurface"],
        "arraystore.datasets.following": ["Follower", "Update"],
        "arraystore.diagnosis": ["Check", "doctor"],
        "arraystore.hdf5.importing": ["Hdf5Rows", "import_hdf5", "open_hdf5"],
        "arraystore.hdf5.sources": ["ExportProgress", "Exported", "export_hdf5"],
        "arraystore.ingest.reports": ["FileReport", "IngestReport"],
        "arraystore.upkeep.mending": ["Mended", "Restored"],
        "arraystore.parquet": ["ParquetExport", "ParquetProgress", "export_parquet"],
        "arraystore.pictures.files": ["save_picture"],
        "arraystore.pictures.plots": ["DatasetPlots", "StorePlots"],
        "arraystore.classes.quarantine": ["QuarantineSurface"],
        "arraystore.classes.reconciliation": ["Reconciliation", "reconcile"],
        "arraystore.classes.recovery": ["Recovery"],
        "arraystore.replays.batch": ["ReplayBatch", "ReplayRecord"],
        "arraystore.replays.position": ["ReplayPosition"],
        "arraystore.replays.replay": ["Replay", "replay"],
        "arraystore.replays.streams": ["ReplayStream"],
        "arraystore.upkeep.repairing": ["Repaired"],
        "arraystore.classes.runs": ["Run"],
        "arraystore.classes.runtable": ["RunRow", "RunTable"],
        "arraystore.upkeep.shipping": ["Shipped"],
        "arraystore.upkeep.status": ["ClassStatus"],
        "arraystore.upkeep.usage": ["Usage"],
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
