"""The state at one version, folded into a root and one manifest per window (FORMAT.md section 7)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec
import numpy as np

from arraystore.errors import AlreadyExists, Corrupt, NotFound
from arraystore.pool import share
from arraystore.storage.base import Storage
from arraystore.versions.commit import ArtifactEntry, Interval, Pin, SegmentEntry
from arraystore.versions.fetch import fetch_record
from arraystore.versions.fold import check_entry, check_window_name, checked_artifacts, checked_schemas
from arraystore.versions.record import ArrayRef, Count, Int64, decode_record, encode_record, pack_arrays, unpack_arrays
from arraystore.versions.state import COMPLETENESS, NO_SPAN, Spans, State, WindowState, WindowSummary
from layouts.naming import version_name
from layouts.schema import Schema

NO_TIME = (np.iinfo(np.int64).max, np.iinfo(np.int64).min)
MINIMUM_LOG_BYTES = 64 << 10
ROW_BYTES = 130
WRITERS = 8  # of manifests at once: a medium syncs what waits together as one
DIGEST = re.compile(r"[0-9a-f]{64}")
ASCII_LAST = 127


class ManifestRecord(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The header of a manifest record."""

    dataset: str
    window: str
    version: Count
    rows: Count
    clocks: dict[str, Interval]
    completeness: str
    coverage: tuple[Interval, ...] = ()
    attributes: dict[str, Any] = {}
    lineage: tuple[Pin, ...] = ()
    segments: tuple[SegmentEntry, ...] = ()


class CheckpointRecord(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The header of a checkpoint record; its body is the table of windows."""

    version: Count
    digest: str
    dataset: str
    birth: str
    time: Int64
    running_time: Int64
    schemas: tuple[Schema, ...]
    schema: Count | None
    profile: str
    writers: dict[str, tuple[Count, Count]]
    artifacts: tuple[ArtifactEntry, ...]
    attributes: dict[str, Any]
    segment_floor: Count
    state: str
    clocks: tuple[str, ...]
    arrays: dict[str, ArrayRef]
    requires: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class CheckpointTable:
    """The windows of a checkpoint: a sorted table; manifests are loaded when asked for. Safe to share between threads."""

    storage: Storage
    prefix: str
    dataset: str
    schema_count: int
    by_time: bool
    columns: Mapping[str, np.ndarray]
    clocks: tuple[str, ...]
    _loaded: dict[str, WindowState] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.columns["window"])

    def names(self) -> tuple[str, ...]:
        """Every window's name, sorted."""
        return tuple(name.decode() for name in self.columns["window"].tolist())

    def _row(self, window: str) -> int:
        names = self.columns["window"]
        row = int(np.searchsorted(names, window.encode()))
        if row >= len(names) or names[row] != window.encode():
            raise KeyError(window)
        return row

    def digest(self, window: str) -> str:
        """The digest that names the window's manifest."""
        return str(self.columns["manifest"][self._row(window)].decode("ascii", "replace"))

    def summary(self, window: str) -> WindowSummary:
        """The window in short."""
        row = self._row(window)
        clocks = {clock: (int(self.columns[f"{clock}:first"][row]), int(self.columns[f"{clock}:last"][row])) for clock in self.clocks}
        return WindowSummary(
            window=window,
            version=int(self.columns["version"][row]),
            completeness=COMPLETENESS[self.columns["completeness"][row]],
            rows=int(self.columns["rows"][row]),
            bytes=int(self.columns["bytes"][row]),
            clocks={clock: (first, last) for clock, (first, last) in clocks.items() if first <= last},
        )

    def spans(self, clock: str) -> Spans:
        """All windows in shorter yet, by name."""
        rows = self.columns["rows"].astype(np.int64)
        if clock not in self.clocks:
            return Spans(self.names(), rows, *(np.full(len(rows), bound) for bound in NO_SPAN))
        return Spans(self.names(), rows, self.columns[f"{clock}:first"], self.columns[f"{clock}:last"])

    def load(self, window: str) -> WindowState:
        """The window's whole state, from its manifest."""
        if window not in self._loaded:
            self._loaded[window] = self._proved(window)
        return self._loaded[window]

    def _proved(self, window: str) -> WindowState:
        version, digest = int(self.columns["version"][self._row(window)]), self.digest(window)
        where = f"{self.prefix}/_manifests/{digest}"
        check_window_name(window, self.prefix, by_time=self.by_time)
        if not DIGEST.fullmatch(digest):
            raise Corrupt(f"{self.prefix}: window {window}: {digest!r} isn't the digest of a manifest")
        loaded = load_manifest(self.storage, self.prefix, self.dataset, window, digest)
        if loaded.version != version:
            raise Corrupt(f"{where}: is of version {loaded.version}, where the checkpoint says {version}")
        for entry in loaded.segments:
            check_entry(entry, version, self.schema_count, where)
        short = self.summary(window)
        told = (short.rows, short.bytes, short.completeness, short.clocks)
        if (found := (loaded.rows, loaded.bytes, loaded.completeness, loaded.clocks)) != told:
            raise Corrupt(f"{where}: its rows, bytes, completeness and clocks are {found}, where the checkpoint says {told}")
        return loaded


def load_manifest(storage: Storage, prefix: str, dataset: str, window: str, digest: str) -> WindowState:
    """Read and check one manifest."""
    where = f"{prefix}/_manifests/{digest}"
    try:
        data = fetch_record(storage, where)
    except NotFound as error:
        msg = f"{where}: the manifest of window {window} is missing: restore it from a replica"
        raise Corrupt(msg) from error
    record, _, found = decode_record("manifest", data, ManifestRecord, where)
    if found != digest or (record.dataset, record.window) != (dataset, window) or record.completeness not in COMPLETENESS:
        msg = f"{where}: holds the manifest of window {record.window} of dataset {record.dataset}, digest {found}"
        raise Corrupt(msg)
    state = WindowState(
        window=window,
        version=record.version,
        completeness=record.completeness,
        segments=record.segments,
        coverage=record.coverage,
        attributes=record.attributes,
        lineage=record.lineage,
    )
    if (record.rows, record.clocks) != (state.rows, state.clocks):
        raise Corrupt(f"{where}: says {record.rows} rows and {record.clocks}, where its segments have {state.rows} and {state.clocks}")
    return state


def manifest_version(storage: Storage, prefix: str, digest: str) -> int:
    """The version that a manifest is of, whatever window and dataset it belongs to."""
    where = f"{prefix}/_manifests/{digest}"
    return decode_record("manifest", fetch_record(storage, where), ManifestRecord, where)[0].version


def manifest_record(dataset: str, state: WindowState) -> tuple[bytes, str]:
    """A window's manifest as bytes, and its digest."""
    record = ManifestRecord(
        dataset=dataset,
        window=state.window,
        version=state.version,
        rows=state.rows,
        clocks=state.clocks,
        completeness=state.completeness,
        coverage=state.coverage,
        attributes=dict(state.attributes),
        lineage=state.lineage,
        segments=state.segments,
    )
    return encode_record("manifest", record)


def is_due(state: State) -> bool:
    """Whether the log since the last checkpoint outweighs what a new one would write.

    A manifest for each commit is free, and a row for each window half so: else commits that change a window each would never have
    a checkpoint, or one after so many that who opens the dataset folds thousands.
    """
    if state.log_bytes < MINIMUM_LOG_BYTES:
        return False
    changed, commits = len(state.changed), state.version - (state.checkpoint[0] if state.checkpoint else 0)
    root = 4096 + ROW_BYTES // 2 * (len(state.table) + changed) + 300 * len(state.artifacts) + 2000 * len(state.schemas)
    least = root + 120 * (len(state.writers) + len(state.attributes)) - 1000 * min(commits, changed)
    if state.log_bytes < least + 600 * changed:  # no manifest is smaller; this spares a look at all of them
        return False
    return state.log_bytes >= least + sum(600 + 400 * len(window.segments) + 250 * len(window.lineage) for window in state.changed.values())


def encode_checkpoint(state: State) -> tuple[bytes, str, dict[str, bytes]]:
    """The root's bytes and digest, and the manifests it needs that the last checkpoint didn't have, by digest.

    A pure function of the state, so that all who write a version's checkpoint write the same bytes.
    """
    manifests: dict[str, bytes] = {}
    digests: list[str] = []
    summaries = list(state.summaries())
    for summary in summaries:
        changed = state.changed.get(summary.window)
        if changed is None:
            digests.append(state.table.digest(summary.window))
        else:
            data, digest = manifest_record(state.dataset, changed)
            manifests[digest] = data
            digests.append(digest)
    clocks = tuple(sorted({clock for summary in summaries for clock in summary.clocks}))
    columns: dict[str, np.ndarray] = {
        "window": np.array(
            [summary.window.encode() for summary in summaries], dtype=f"S{max((len(summary.window) for summary in summaries), default=1)}"
        ),
        "manifest": np.array([digest.encode() for digest in digests], dtype="S64"),
        "rows": np.array([summary.rows for summary in summaries], dtype=np.int64),
        "bytes": np.array([summary.bytes for summary in summaries], dtype=np.int64),
        "version": np.array([summary.version for summary in summaries], dtype=np.int64),
        "completeness": np.array([COMPLETENESS.index(summary.completeness) for summary in summaries], dtype=np.uint8),
    }
    for clock in clocks:
        bounds = np.array([summary.clocks.get(clock, NO_TIME) for summary in summaries], dtype=np.int64).reshape(-1, 2)
        columns[f"{clock}:first"], columns[f"{clock}:last"] = bounds[:, 0].copy(), bounds[:, 1].copy()
    refs, pieces = pack_arrays(columns)
    record = CheckpointRecord(
        version=state.version,
        digest=state.digest,
        dataset=state.dataset,
        birth=state.birth,
        time=state.time,
        running_time=state.running_time,
        schemas=state.schemas,
        schema=state.schema,
        profile=state.profile,
        writers=dict(sorted(state.writers.items())),
        artifacts=tuple(entry for _, entry in sorted(state.artifacts.items())),
        attributes=dict(sorted(state.attributes.items())),
        segment_floor=state.segment_floor,
        state=state.state,
        clocks=clocks,
        arrays=refs,
        requires=state.requires,
    )
    data, digest = encode_record("checkpoint", record, pieces)
    return data, digest, manifests


def write_checkpoint(storage: Storage, prefix: str, state: State) -> tuple[int, str]:
    """Make the state's checkpoint durable, manifests first; whoever else writes it at the same time writes the same."""
    data, digest, manifests = encode_checkpoint(state)
    jobs = [partial(_create_same, storage, f"{prefix}/_manifests/{name}", manifest) for name, manifest in manifests.items()]
    share(jobs, min(WRITERS, len(jobs)))
    _create_same(storage, f"{prefix}/_checkpoints/{version_name(state.version)}", data)
    return state.version, digest


def _create_same(storage: Storage, key: str, data: bytes) -> None:
    try:
        storage.create(key, data)
    except AlreadyExists:
        # The other writer's bytes are whole and the same; its directory entry may not be durable yet.
        storage.sync(key.rpartition("/")[0])


def load_checkpoint(storage: Storage, prefix: str, version: int, digest: str | None) -> State:
    """The state a checkpoint holds; `digest` is what a commit said of it. Raises NotFound or Corrupt."""
    where = f"{prefix}/_checkpoints/{version_name(version)}"
    record, body, found = decode_record("checkpoint", fetch_record(storage, where), CheckpointRecord, where)
    if record.version != version or (digest is not None and found != digest):
        msg = f"{where}: holds version {record.version}, digest {found}, where {digest} was expected"
        raise Corrupt(msg)
    columns = unpack_arrays(record.arrays, body, where)
    _check_table(record, columns, where)
    return State(
        dataset=record.dataset,
        birth=record.birth,
        requires=record.requires,
        version=version,
        digest=record.digest,
        time=record.time,
        running_time=record.running_time,
        schemas=checked_schemas(record.schemas, where),
        schema=record.schema,
        profile=record.profile,
        writers=record.writers,
        artifacts=checked_artifacts(record.artifacts, where),
        attributes=record.attributes,
        segment_floor=record.segment_floor,
        state=record.state,
        checkpoint=(version, found),
        table=CheckpointTable(storage, prefix, record.dataset, len(record.schemas), record.schema is not None, columns, record.clocks),
    )


def _check_table(record: CheckpointRecord, columns: Mapping[str, np.ndarray], where: str) -> None:
    """Raise unless the table of windows is one: every column there and of its type, names sorted. Names are proved when they are used."""
    kinds = {"window": "S", "manifest": "S", "rows": "i", "bytes": "i", "version": "i", "completeness": "u"}
    kinds |= {f"{clock}:{end}": "i" for clock in record.clocks for end in ("first", "last")}
    shape = columns["window"].shape if "window" in columns else ()
    missing = [
        name for name, kind in kinds.items() if name not in columns or columns[name].dtype.kind != kind or columns[name].shape != shape
    ]
    if missing or len(shape) != 1 or (columns["completeness"] >= len(COMPLETENESS)).any():
        raise Corrupt(f"{where}: its table of windows is incomplete")
    names = columns["window"]
    if (names[1:] <= names[:-1]).any() or (names.view(np.uint8) > ASCII_LAST).any():
        raise Corrupt(f"{where}: the names of its windows aren't sorted, or aren't ASCII")
    if record.schema is not None and record.schema >= len(record.schemas):
        raise Corrupt(f"{where}: names schema {record.schema}, but the dataset has {len(record.schemas)}")
