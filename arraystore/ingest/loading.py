"""Vendor files into datasets: one file is one commit in each dataset it has rows of, known again by its content and mapping."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Mapping as AnyMapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any

from arraystore.errors import AlreadyExists, ArrayStoreError, FixTheCall, InvalidInput, Problem, WindowClosed
from arraystore.frames.rows import Rows
from arraystore.ingest.divide import Destination, Progress
from arraystore.ingest.mapping import Mapping, load_mapping
from arraystore.ingest.names import names_of
from arraystore.ingest.portions import Portions, SeveralError, beginning, in_turn, only, told
from arraystore.ingest.reading import Part, members, read_rows
from arraystore.ingest.reports import FileReport, IngestReport, failure_of
from arraystore.ingest.rules import with_parameters
from arraystore.ingest.sources import digest_of
from arraystore.ingest.spool import Spool
from arraystore.ingest.targets import Target, for_all_instruments
from arraystore.store import Store
from layouts.cuts import cut_by_window
from layouts.schema import Order

type Files = Iterable[str | os.PathLike[str]] | str | os.PathLike[str]

PIECE_BYTES = 128 << 20
THREADED_BYTES = 64 << 20  # smaller files are read sooner than threads are woken
FAILURES_LIMIT = 20


def load(
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
    tell: Callable[[int], None] | None = None,
) -> IngestReport:
    """Load files into datasets: what `arraystore.ingest` does."""
    if type(workers) is not int or workers < 1:
        raise InvalidInput(Problem("workers", f"{workers!r} isn't a number of workers, from 1 up"))
    name, loaded = load_mapping(mapping)
    loaded = with_parameters(loaded, parameters)
    paths = [Path(files)] if isinstance(files, str | os.PathLike) else [Path(file) for file in files]
    if not paths:
        raise InvalidInput(Problem("files", "there are none: name at least one"))
    options = {"completeness": completeness, "reopen": reopen}
    into = into or loaded.into
    loaded = for_all_instruments(loaded, into)
    target = Target(store=store, mapping=loaded, name=name, into=into, resume=resume, dry_run=dry_run, options=options)
    if not target.into:
        raise InvalidInput(Problem("into", "the mapping doesn't say where to: name the dataset, such as canonical/venue/quotes/BTCUSDT"))
    return _Run(target=target, keep_originals=keep_originals, alone=workers == 1 or len(paths) == 1, tell=tell).all(
        paths, workers, progress or (lambda _: None)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """One file, before its rows are read."""

    path: Path
    sha256: str
    before: os.stat_result
    parts: list[Part]
    token: tuple[str, int]

    @property
    def may_be_many(self) -> bool:
        """Whether only reading it tells how many datasets it has rows of."""
        return len(self.parts) > 1 or bool(self.parts[0].divider.split)


@dataclass(slots=True, kw_only=True)
class _Seen:
    """What a file has for one dataset."""

    destination: Destination
    rows: int = 0
    windows: set[str] = field(default_factory=set)

    def add(self, rows: Rows) -> None:
        """These rows too."""
        self.rows += rows.count
        schema = self.destination.converter.schema
        self.windows |= {window.name for window, _ in cut_by_window(schema, rows.arrays[schema.axis])}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """One call of `load`."""

    target: Target
    keep_originals: bool
    alone: bool
    tell: Callable[[int], None] | None

    def all(self, paths: list[Path], workers: int, progress: Callable[[FileReport], None]) -> IngestReport:
        """Every file; after errors the others still come in, unless nearly all fail."""
        digests = self._digests(paths)
        reports, failures = self._in_parallel(paths, digests, workers, progress)
        if failures:
            raise failure_of(paths, failures, len(reports))
        return IngestReport(files=tuple(report for place in sorted(reports) for report in reports[place]))

    def _in_parallel(
        self, paths: list[Path], digests: list[str], workers: int, progress: Callable[[FileReport], None]
    ) -> tuple[dict[int, tuple[FileReport, ...]], dict[int, ArrayStoreError]]:
        """What became of each file, or the error that it met."""
        reports: dict[int, tuple[FileReport, ...]] = {}
        failures: dict[int, ArrayStoreError] = {}
        ends = [threading.Event() for _ in paths]
        waiting = iter(range(len(paths)))
        with ThreadPoolExecutor(workers, thread_name_prefix="ingest") as pool:
            running: dict[Future[tuple[FileReport, ...]], int] = {}
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
                            for report in reports[place]:
                                progress(report)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return reports, failures

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

    def _ended(self, path: Path, digest: str, ends: list[threading.Event]) -> tuple[FileReport, ...]:
        """One file, whatever comes of it; the last of the events tells that it is done with."""
        try:
            return self._one(path, digest, ends[:-1])
        finally:
            ends[-1].set()

    def _one(self, path: Path, digest: str, earlier: list[threading.Event]) -> tuple[FileReport, ...]:
        """One file: all of it or nothing."""
        job = self._job(path, digest)
        if (known := self._known_at_once(job)) is not None:
            return (known,)
        progress = Progress()
        if self.target.dry_run:
            return self._checked(job, self._rows(job, progress), progress)
        try:
            return self._streamed(job, progress, earlier)
        except SeveralError:
            progress = Progress()
            return self._spooled(job, progress, earlier)

    def _job(self, path: Path, digest: str) -> _Job:
        mapping = self.target.mapping
        before = path.stat()
        parts = []
        for member in members(path, mapping):
            names = names_of(mapping.file, mapping.parameters, str(path), member.name)
            parts.append(Part(member=member, divider=self.target.divider(names)))
        token = (f"ingest:{sha256(f'{digest} {self.target.mapping.digest}'.encode()).hexdigest()}", 1)
        return _Job(path=path, sha256=digest, before=before, parts=parts, token=token)

    def _rows(self, job: _Job, progress: Progress) -> Portions:
        threads = self.alone and job.before.st_size >= THREADED_BYTES
        portions = _unchanged(read_rows(job.parts, self.target.mapping, progress, threads=threads), job)
        return portions if self.tell is None else told(portions, self.tell)

    def _known_at_once(self, job: _Job) -> FileReport | None:
        """The report of a file that was ingested, where that can be told without reading it."""
        if any(part.divider.split for part in job.parts):
            return None  # it may have been interrupted after the first of its datasets
        destinations = {part.divider.find(()).address: part.divider.find(()) for part in job.parts}
        return self._known(job, next(iter(destinations.values()))) if len(destinations) == 1 else None

    def _known(self, job: _Job, destination: Destination) -> FileReport | None:
        """The report of a file that was ingested into this dataset; refuses it unless such are passed over."""
        dataset = self.target.dataset(destination.converter.names)
        known = None if dataset is None else dataset.token_version(job.token[0])
        if known is None:
            return None
        self._refuse_known(job, destination.address, known[1])
        self._keep(job, destination)
        return FileReport(file=str(job.path), state="known", address=destination.address, sha256=job.sha256, version=known[1])

    def _refuse_known(self, job: _Job, address: str, version: int) -> None:
        if not self.target.resume:
            told = f"its content was ingested into {address} with this mapping, in version {version}"
            msg = f"{job.path}: {told}: pass --resume to pass over it"
            raise AlreadyExists(msg)

    def _streamed(self, job: _Job, progress: Progress, earlier: list[threading.Event]) -> tuple[FileReport, ...]:
        """The rows of one dataset, written as they are read; raises if there are others."""
        portions = self._rows(job, progress)
        held = beginning(portions)
        if not held:
            return (self._empty(job, progress),)
        destination = held[0][0]
        if job.may_be_many and self._known(job, destination) is not None:
            raise SeveralError  # which the next of its datasets may not know yet
        report = self._committed(job, destination, only(destination, chain(held, portions)), earlier)
        if job.may_be_many and report.state == "known":
            raise SeveralError
        return (replace(report, left_out=progress.left_out),)

    def _spooled(self, job: _Job, progress: Progress, earlier: list[threading.Event]) -> tuple[FileReport, ...]:
        """The rows of several datasets: all are read and checked, and then committed to one after the other."""
        with Spool() as spool:
            seen = self._seen(self._rows(job, progress), spool)
            known = {address: self._known(job, each.destination) for address, each in seen.items()}
            for address, each in seen.items():
                if known[address] is None:
                    self._refuse_closed(job, each)
            reports = [
                known[address] or self._committed(job, each.destination, spool.rows(address), earlier, several=True)
                for address, each in seen.items()
            ]
        self._keep(job, next(iter(seen.values())).destination)
        return (replace(reports[0], left_out=progress.left_out), *reports[1:])

    def _seen(self, portions: Portions, spool: Spool | None) -> dict[str, _Seen]:
        """What the file has for each dataset; the rows go into the spool."""
        seen: dict[str, _Seen] = {}
        for destination, rows in portions:
            if rows.count:
                seen.setdefault(destination.address, _Seen(destination=destination)).add(rows)
                if spool is not None:
                    spool.add(destination.address, rows)
        return seen

    def _committed(
        self, job: _Job, destination: Destination, rows: Iterator[Rows], earlier: list[threading.Event], *, several: bool = False
    ) -> FileReport:
        """The rows in one commit of their dataset."""
        converter, name, mapping = destination.converter, job.path.name, self.target.mapping
        report = FileReport(file=str(job.path), state="known", address=destination.address, sha256=job.sha256)
        source = {"file": name, "sha256": job.sha256, "mapping": self.target.name, "mapping_sha256": mapping.digest}
        try:
            receipt = self.target.made(converter.names).append_stream(
                in_turn(rows, earlier if converter.schema.order is Order.ARRIVAL else []),
                token=job.token,
                sort=converter.sort,
                piece_bytes=PIECE_BYTES,
                reason=f"ingested {name}, sha256 {job.sha256}, by mapping {self.target.name}, sha256 {mapping.digest}",
                window_attributes={"ingested": source},
                **self.target.options,
            )
        except WindowClosed as error:
            msg = f"{job.path}: {error}; is it in already, perhaps by another mapping?"
            raise WindowClosed(msg) from error
        if receipt.repeated:
            self._refuse_known(job, destination.address, receipt.version)
            return replace(report, version=receipt.version)
        if not several:
            self._keep(job, destination)
        return replace(report, state="ingested", rows=receipt.rows, windows=receipt.windows, version=receipt.version)

    def _checked(self, job: _Job, portions: Portions, progress: Progress) -> tuple[FileReport, ...]:
        """Read everything and write nothing."""
        seen = self._seen(portions, None)
        if not seen:
            return (self._empty(job, progress),)
        for each in seen.values():
            self._refuse_closed(job, each)
        reports = [
            self._known(job, each.destination)
            or FileReport(
                file=str(job.path), state="checked", address=address, sha256=job.sha256, rows=each.rows, windows=tuple(sorted(each.windows))
            )
            for address, each in seen.items()
        ]
        return (replace(reports[0], left_out=progress.left_out), *reports[1:])

    def _empty(self, job: _Job, progress: Progress) -> FileReport:
        divider = job.parts[0].divider
        address = self.target.into if divider.split else divider.find(()).address
        return FileReport(file=str(job.path), state="empty", address=address, sha256=job.sha256, left_out=progress.left_out)

    def _refuse_closed(self, job: _Job, seen: _Seen) -> None:
        """Raise where the rows lie in a window that is complete."""
        dataset = self.target.dataset(seen.destination.converter.names)
        if dataset is None or self.target.options["reopen"]:
            return
        closed = [name for name in sorted(seen.windows & set(dataset.windows())) if dataset.manifest(name).completeness == "complete"]
        if closed:
            msg = f"{job.path}: window {closed[0]} of {seen.destination.address} is complete: pass --reopen to add to it in a new version"
            raise WindowClosed(msg)

    def _keep(self, job: _Job, destination: Destination) -> None:
        dataset = self.target.dataset(destination.converter.names)
        if self.keep_originals and dataset is not None and not self.target.dry_run:
            name = f"originals/{job.path.name}"
            kept = dataset.refresh().artifacts().get(name)
            if kept is None or kept.sha256 != job.sha256:
                dataset.add_file(job.path, name)


def _unchanged(portions: Portions, job: _Job) -> Portions:
    """The rows; raises at the end if the file was written to meanwhile, so that its digest doesn't name what was read."""
    yield from portions
    now, before = job.path.stat(), job.before
    if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise InvalidInput(Problem(str(job.path), "was changed while it was read: ingest it again once nobody writes to it"))
