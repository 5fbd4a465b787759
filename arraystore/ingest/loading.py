"""Vendor files into datasets: one file is one commit, known again by its content and mapping."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Mapping as AnyMapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any

from arraystore.dataset import Dataset
from arraystore.errors import AlreadyExists, ArrayStoreError, FixTheCall, InvalidInput, Problem, WindowClosed
from arraystore.ingest.converter import Converter, converter_for
from arraystore.ingest.mapping import Mapping, load_mapping
from arraystore.ingest.names import names_of
from arraystore.ingest.reading import Part, members, read_rows
from arraystore.ingest.reports import FileReport, IngestReport, failure_of
from arraystore.ingest.rules import schema_from, with_parameters
from arraystore.ingest.sources import digest_of
from arraystore.ingest.targets import Target
from arraystore.rows import Rows
from arraystore.store import Store
from layouts.cuts import cut_by_window
from layouts.schema import Order

type Files = Iterable[str | os.PathLike[str]] | str | os.PathLike[str]

PIECE_BYTES = 128 << 20
THREADED_BYTES = 64 << 20  # smaller files are read sooner than threads are woken
FAILURES_LIMIT = 20


def ingest(
    store: Store,
    files: Files,
    *,
    mapping: Mapping | AnyMapping[str, Any] | str | Path,
    into: str | None = None,
    parameters: dict[str, str] | None = None,
    resume: bool = False,
    workers: int = 2,
    dry_run: bool = False,
    completeness: str | None = None,
    reopen: bool = False,
    keep_originals: bool = False,
    progress: Callable[[FileReport], None] | None = None,
) -> IngestReport:
    """Load files into datasets, each in one commit, all of its rows or none; durable when this returns.

    Parameters
    ----------
    store
        Opened as a role that may write there.
    files
        CSV (plain, gzip, zstd, or zip of one or many), Parquet, Arrow or DBN, as the mapping says. Files larger than memory are fine:
        a worker holds about half a gigabyte.
    mapping
        The name of a shipped mapping, a TOML file, or what one says (docs/ingest.md).
    into
        Where to: `class/key`, which may name parts of the file's name (`canonical/binance/trades/{symbol}`); by default as the mapping
        says. The dataset is made if there is none.
    parameters
        Values for the mapping's parameters.
    resume
        Pass over files that were ingested with this mapping before, whatever they are called now; without it they are an error.
    workers
        How many files are read at once, in threads. Where arrival order counts, they are committed in the order given all the same.
    dry_run
        Read and check everything, write nothing.
    completeness, reopen
        As in `append`, for the windows each file touches.
    keep_originals
        Keep each file as it is beside its rows, as an artifact `originals/<name>`.
    progress
        Called with the report of each file as it is done, from this thread.

    Raises
    ------
    InvalidInput
        With the file, line, column and text of what can't be taken. Nothing of such a file is in; other files are not affected.
    AlreadyExists, WindowClosed
        Where a file is in already, or lies in a window that is complete.
    """
    if type(workers) is not int or workers < 1:
        raise InvalidInput(Problem("workers", f"{workers!r} isn't a number of workers, from 1 up"))
    name, loaded = load_mapping(mapping)
    loaded = with_parameters(loaded, parameters)
    paths = [Path(files)] if isinstance(files, str | os.PathLike) else [Path(file) for file in files]
    if not paths:
        raise InvalidInput(Problem("files", "there are none: name at least one"))
    options = {"completeness": completeness, "reopen": reopen}
    target = Target(store=store, mapping=loaded, name=name, into=into or loaded.into, resume=resume, dry_run=dry_run, options=options)
    if not target.into:
        raise InvalidInput(Problem("into", "the mapping doesn't say where to: name the dataset, such as canonical/venue/quotes/BTCUSDT"))
    return _Run(target=target, keep_originals=keep_originals, alone=workers == 1 or len(paths) == 1).all(
        paths, workers, progress or (lambda _: None)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """One file, before its rows are read."""

    path: Path
    sha256: str
    parts: list[Part]
    dataset: Dataset | None
    address: str

    @property
    def converter(self) -> Converter:
        return self.parts[0].converter


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """One call of `ingest`."""

    target: Target
    keep_originals: bool
    alone: bool

    def all(self, paths: list[Path], workers: int, progress: Callable[[FileReport], None]) -> IngestReport:
        """Every file; after errors the others still come in, unless nearly all fail."""
        reports: dict[int, FileReport] = {}
        failures: dict[int, ArrayStoreError] = {}
        digests = self._digests(paths)
        ends = [threading.Event() for _ in paths]
        waiting = iter(range(len(paths)))
        with ThreadPoolExecutor(workers, thread_name_prefix="ingest") as pool:
            running: dict[Future[FileReport], int] = {}
            try:
                while running or len(failures) < FAILURES_LIMIT:
                    for place in waiting if len(running) < workers and len(failures) < FAILURES_LIMIT else ():
                        running[pool.submit(self._ended, paths[place], digests[place], ends[: place + 1])] = place
                        if len(running) >= workers:
                            break
                    if not running:
                        break
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        place = running.pop(future)
                        try:
                            reports[place] = future.result()
                        except (FixTheCall, InvalidInput) as error:
                            failures[place] = error
                        else:
                            progress(reports[place])
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        if failures:
            raise failure_of(paths, failures, len(reports))
        return IngestReport(files=tuple(reports[place] for place in sorted(reports)))

    def _digests(self, paths: list[Path]) -> list[str]:
        """What each file holds, and no two the same unless known files are passed over."""
        digests = [digest_of(path) for path in paths]
        first = {digest: path for path, digest in reversed(list(zip(paths, digests, strict=True)))}
        what = "has the same content: leave one out, or pass --resume to pass over it"
        twice = [
            Problem(str(path), f"{first[digest]} {what}") for path, digest in zip(paths, digests, strict=True) if first[digest] is not path
        ]
        if twice and not self.target.resume:
            raise InvalidInput(twice)
        return digests

    def _ended(self, path: Path, digest: str, ends: list[threading.Event]) -> FileReport:
        """One file, whatever comes of it; the last of the events tells that it is done with."""
        try:
            return self._one(path, digest, ends[:-1])
        finally:
            ends[-1].set()

    def _one(self, path: Path, digest: str, earlier: list[threading.Event]) -> FileReport:
        """One file: all of it or nothing."""
        before = path.stat()
        job = self._job(path, digest)
        report = FileReport(file=str(path), state="known", address=job.address, sha256=digest)
        token = (f"ingest:{sha256(f'{digest} {self.target.mapping.digest}'.encode()).hexdigest()}", 1)
        known = None if job.dataset is None else job.dataset.token_version(token[0])
        if known is not None and job.dataset is not None:
            self._refuse_known(path, job.address, known[1])
            self._keep(job)
            return replace(report, version=known[1])
        rows = read_rows(job.parts, self.target.mapping, threads=self.alone and before.st_size >= THREADED_BYTES)
        if self.target.dry_run or job.dataset is None:
            return self._checked(rows, job, report)
        first = next((batch for batch in rows if batch.count), None)
        if first is None:
            return replace(report, state="empty")
        try:
            receipt = job.dataset.append_stream(
                _in_turn(_unchanged(chain((first,), rows), path, before), earlier if job.converter.schema.order is Order.ARRIVAL else []),
                token=token,
                sort=job.converter.sort,
                piece_bytes=PIECE_BYTES,
                reason=f"ingested {path.name}, sha256 {digest}, by mapping {self.target.name}, sha256 {self.target.mapping.digest}",
                window_attributes={"ingested": self._source(path, digest)},
                **self.target.options,
            )
        except WindowClosed as error:
            msg = f"{path}: {error}; is it in already, perhaps by another mapping?"
            raise WindowClosed(msg) from error
        if receipt.repeated:
            self._refuse_known(path, job.address, receipt.version)
            return replace(report, version=receipt.version)
        self._keep(job)
        return replace(report, state="ingested", rows=receipt.rows, windows=receipt.windows, version=receipt.version)

    def _job(self, path: Path, digest: str) -> _Job:
        mapping = self.target.mapping
        parts: list[Part] = []
        addresses = set()
        dataset = None
        for member in members(path, mapping):
            names = names_of(mapping.file, mapping.parameters, str(path), member.name)
            addresses.add("/".join(self.target.address(names)))
            dataset = self.target.dataset(names)
            schema = dataset.schema if dataset is not None else schema_from(mapping, names)
            parts.append(Part(member=member, converter=converter_for(mapping, schema, names)))
        if len(addresses) > 1:
            raise InvalidInput(Problem(str(path), f"has members of {len(addresses)} datasets ({', '.join(sorted(addresses))}): unpack it"))
        return _Job(path=path, sha256=digest, parts=parts, dataset=dataset, address=addresses.pop())

    def _refuse_known(self, path: Path, address: str, version: int) -> None:
        if not self.target.resume:
            msg = f"{path}: its content was ingested into {address} with this mapping, in version {version}: pass --resume to pass over it"
            raise AlreadyExists(msg)

    def _checked(self, batches: Iterator[Rows], job: _Job, report: FileReport) -> FileReport:
        """Read everything and write nothing."""
        count, windows = 0, set()
        schema = job.converter.schema
        for rows in batches:
            count += rows.count
            windows |= {window.name for window, _ in cut_by_window(schema, rows.arrays[schema.axis])}
        if job.dataset is not None and not self.target.options["reopen"]:
            closed = [
                name for name in sorted(windows & set(job.dataset.windows())) if job.dataset.manifest(name).completeness == "complete"
            ]
            if closed:
                msg = f"{job.path}: window {closed[0]} is complete: pass --reopen to add to it in a new version"
                raise WindowClosed(msg)
        return replace(report, state="checked" if count else "empty", rows=count, windows=tuple(sorted(windows)))

    def _source(self, path: Path, digest: str) -> dict[str, str]:
        return {"file": path.name, "sha256": digest, "mapping": self.target.name, "mapping_sha256": self.target.mapping.digest}

    def _keep(self, job: _Job) -> None:
        if self.keep_originals and job.dataset is not None:
            name = f"originals/{job.path.name}"
            kept = job.dataset.refresh().artifacts().get(name)
            if kept is None or kept.sha256 != job.sha256:
                job.dataset.add_file(job.path, name)


def _in_turn(rows: Iterator[Rows], earlier: list[threading.Event]) -> Iterator[Rows]:
    """The rows; the last is followed by its commit, so the end waits until the files before are done with (all of them were begun)."""
    yield from rows
    for end in earlier:
        end.wait()


def _unchanged(rows: Iterator[Rows], path: Path, before: os.stat_result) -> Iterator[Rows]:
    """The rows; raises at the end if the file was written to meanwhile, so that its digest doesn't name what was read."""
    yield from rows
    now = path.stat()
    if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise InvalidInput(Problem(str(path), "was changed while it was read: ingest it again once nobody writes to it"))
