"""What is wrong around a store, and what to do: the root, its medium, rights, the clock, libraries, leftovers, heads, space."""

import os
import re
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from arraystore.classes.roots import Opener, locate
from arraystore.classes.surface import Surface
from arraystore.errors import ArrayStoreError, NotFound
from arraystore.storage import open_storage
from arraystore.storage.keys import TEMPORARY
from arraystore.storage.localmedium import kind_of_medium
from arraystore.store import Store, open_store, parse_role
from layouts.classes import Action, Role, StorageClass, may
from layouts.times import format_time

type Surfaces = Mapping[StorageClass, Surface]

OK, WARNING, PROBLEM = "ok", "warning", "problem"

MEDIA = ("ext4", "xfs", "btrfs")
NETWORK = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "fuse.sshfs")
AHEAD_NS = 60 * 10**9
LEFT_OVER_SECONDS = 3600
SCARCE_BYTES, FEW_BYTES = 256 << 20, 5 << 30
SCARCE_SHARE, FEW_SHARE = 0.01, 0.1
FEW_FILES = 1024
SLOW_SYNC_SECONDS = 0.05
SYNCS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at: `state` is `ok`, `warning` or `problem`; `remedy` says what to do, and is empty if that is nothing."""

    name: str
    state: str
    found: str
    remedy: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {"name": self.name, "state": self.state, "found": self.found, "remedy": self.remedy}


def doctor(
    url: str | os.PathLike[str],
    *,
    role: Role | str = Role.OPERATIONS,
    probe: bool = False,
    clock: Callable[[], int] = time.time_ns,
    opener: Opener = open_storage,
) -> list[Check]:
    """Look at a store from outside, and tell what is or will be in its way, each with a remedy. Changes nothing.

    Whether bytes are what was written is for `verify`, whether they lie as they should for `lint`.

    Parameters
    ----------
    role
        As whom to look: what this role may not read isn't looked at.
    probe
        Also try on the medium what commits need (names that exist once, syncs and how long they take), with files that are removed again.

    Examples
    --------
    >>> import arraystore
    >>> store = arraystore.open_store("memory://doctor", role="operations", create=True)
    >>> [check.name for check in arraystore.doctor("memory://doctor") if check.state == "problem"]
    []
    """
    role, location = parse_role(role), locate(url)
    found = [_python(), *_libraries()]
    try:
        store = open_store(location, role=role, opener=opener)
    except ArrayStoreError as error:
        remedy = f"`arraystore init --root {location}` makes a store" if isinstance(error, NotFound) else "see the message"
        return [Check(name="root", state=PROBLEM, found=str(error), remedy=remedy), *_local(location), *found]
    found.insert(0, Check(name="root", state=OK, found=f"store {store.uuid} at {store.url}"))
    surfaces = {}
    for each in StorageClass:
        try:
            surfaces[each] = store.surface(each)
        except ArrayStoreError as error:
            remedy = "put its directory back, mount it, or `arraystore repair --from COPY`"
            found.insert(1, Check(name=f"class {each}", state=PROBLEM, found=str(error), remedy=remedy))
    for place in dict.fromkeys([store.url, *(each.url for each in surfaces.values() if not each.url.startswith(f"{store.url}/"))]):
        found += _local(place)
    found += _rights(store, surfaces)
    found += _heads(store, surfaces, clock)
    if probe:
        found += _probed(store, opener)
    return found


def _path_of(url: str) -> Path | None:
    """A place on a local disk as a path."""
    plain = url.removeprefix("file://")
    return None if "://" in plain else Path(plain)


def _local(url: str) -> Iterator[Check]:
    """The medium, its space, and what writers left that died."""
    path = _path_of(url)
    if path is None or not path.is_dir():
        return
    kind = kind_of_medium(str(path))
    told = f"{kind or 'unknown'} at {path}"
    if kind in NETWORK:
        yield Check(
            name="medium", state=PROBLEM, found=told, remedy="it serves readers only: move the store to ext4, XFS or btrfs to write"
        )
    elif os.statvfs(path).f_flag & os.ST_RDONLY:
        yield Check(name="medium", state=WARNING, found=f"{told}, mounted read-only", remedy="readers go on; mount it with rw to write")
    elif kind not in MEDIA:
        yield Check(
            name="medium",
            state=WARNING,
            found=told,
            remedy="what it keeps after a power cut isn't known; prefer ext4, XFS or btrfs",
        )
    else:
        yield Check(name="medium", state=OK, found=told)
    yield _space(path)
    yield _inodes(path)
    yield _left_over(path)
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    few = files < FEW_FILES
    yield Check(
        name="open files",
        state=WARNING if few else OK,
        found=f"{files} may be open at once",
        remedy=f"`ulimit -n {FEW_FILES}` or more: a read of many columns opens as many files" if few else "",
    )


def _space(path: Path) -> Check:
    usage = shutil.disk_usage(path)
    told = f"{usage.free / (1 << 30):.1f} of {usage.total / (1 << 30):.1f} GiB are free at {path}"
    share = usage.free / max(usage.total, 1)
    if usage.free < SCARCE_BYTES or share < SCARCE_SHARE:
        remedy = "writers will fail: free some space (`arraystore du --garbage` tells what gc and expire would), or move a class elsewhere"
        return Check(name="space", state=PROBLEM, found=told, remedy=remedy)
    if usage.free < FEW_BYTES and share < FEW_SHARE:
        return Check(name="space", state=WARNING, found=told, remedy="`arraystore du --garbage` tells what gc and expire would free")
    return Check(name="space", state=OK, found=told)


def _inodes(path: Path) -> Check:
    stat = os.statvfs(path)
    if not stat.f_files:
        return Check(name="inodes", state=OK, found=f"without a limit at {path}")
    few = stat.f_favail / stat.f_files < SCARCE_SHARE
    remedy = "`arraystore compact`, `pack` and `gc` make few files of many" if few else ""
    return Check(
        name="inodes", state=PROBLEM if few else OK, found=f"{stat.f_favail:,} of {stat.f_files:,} are free at {path}", remedy=remedy
    )


def _left_over(path: Path) -> Check:
    """Temporary files of writers that died; those of the last hour may be somebody's who is at work."""
    names, size = [], 0
    for folder, _, files in os.walk(path):
        for name in files:
            if name.startswith(TEMPORARY):
                with suppress(OSError):
                    stat = os.stat(os.path.join(folder, name), follow_symlinks=False)  # noqa: PTH116, PTH118 - many
                    if time.time_ns() - stat.st_mtime_ns > LEFT_OVER_SECONDS * 10**9:
                        names.append(os.path.join(folder, name))  # noqa: PTH118 - many
                        size += stat.st_size
    if not names:
        return Check(name="leftovers", state=OK, found=f"no unfinished files at {path}")
    told = f"{len(names)} unfinished files of {size:,} bytes, such as {names[0]}"
    return Check(name="leftovers", state=WARNING, found=told, remedy="`arraystore gc '*' --yes` sweeps them away; no reader sees them")


def _rights(store: Store, surfaces: Surfaces) -> Iterator[Check]:
    """Whether this user may do on the disk what the role may do."""
    refused: list[str] = []
    for each, surface in surfaces.items():
        path = _path_of(surface.url)
        writes = any(may(store.role, each, action) for action in (Action.WRITE, Action.MAINTAIN))
        wanted = (os.R_OK if may(store.role, each, Action.READ) else 0) | (os.W_OK if writes else 0)
        if path is None or not wanted:
            continue
        effective = os.access in os.supports_effective_ids
        places = [path, *_folders(path)]
        refused += [str(place) for place in places if not os.access(place, wanted | os.X_OK, effective_ids=effective)]
    user = os.geteuid()
    if not refused:
        yield Check(name="rights", state=OK, found=f"user {user} may do on the disk what {store.role} may do")
        return
    remedy = "act as the user who made them, or `arraystore policy posix --apply` as root sets the rights of each role"
    many = "1 directory" if len(refused) == 1 else f"{len(refused)} directories"
    told = f"user {user} may not read or write {many} that role {store.role} may, such as {refused[0]}"
    yield Check(name="rights", state=PROBLEM, found=told, remedy=remedy)


def _folders(path: Path) -> Iterator[Path]:
    """The directories of datasets and what is above them."""
    for folder, below, _ in os.walk(path):
        if "_log" in below:
            below.clear()
        below[:] = [name for name in below if not name.startswith("_")]
        yield from (Path(folder) / name for name in below)


def _heads(store: Store, surfaces: Surfaces, clock: Callable[[], int]) -> Iterator[Check]:
    """Whether each dataset can be opened, and whether the newest commit is of the past."""
    broken, newest, count = [], 0, 0
    for each, surface in surfaces.items():
        if not may(store.role, each, Action.READ):
            continue
        try:
            for log in surface.logs():
                count += 1
                try:
                    newest = max(newest, log.head().running_time)
                except NotFound:
                    continue  # its first version isn't there yet
                except ArrayStoreError as error:
                    broken.append(str(error))
        except ArrayStoreError as error:
            broken.append(f"{each}: {error}")
    if broken:
        remedy = "`arraystore verify --deep` tells all that is wrong, `arraystore repair --from COPY` puts it back"
        yield Check(name="heads", state=PROBLEM, found=f"{len(broken)} of {count} datasets can't be opened: {broken[0]}", remedy=remedy)
    else:
        yield Check(name="heads", state=OK, found=f"{count} datasets can be opened")
    ahead = newest - clock()
    if ahead > AHEAD_NS:
        told = f"the newest commit is of {format_time(newest)}, {ahead // 10**9} s after this machine's clock"
        yield Check(
            name="clock", state=PROBLEM, found=told, remedy="set the clocks of this machine and of the writers by NTP (timedatectl)"
        )
    else:
        yield Check(name="clock", state=OK, found=f"{format_time(clock())}, after the newest commit")


def _probed(store: Store, opener: Opener) -> Iterator[Check]:
    """What commits need of the medium, tried."""
    try:
        storage = opener(store.url)
        storage.probe()
        path = _path_of(store.url)
        seconds = None if path is None else min(_sync_seconds(path) for _ in range(SYNCS))
    except (ArrayStoreError, OSError) as error:
        remedy = "writers need a medium that links, syncs and keeps rights: ext4, XFS or btrfs, mounted rw, or another object store"
        yield Check(name="commits", state=PROBLEM, found=str(error), remedy=remedy)
        return
    yield Check(name="commits", state=OK, found="names exist once")
    if seconds is not None:
        slow = seconds > SLOW_SYNC_SECONDS
        remedy = "each append waits for two: append more rows at once, or use a quicker medium" if slow else ""
        yield Check(name="sync", state=WARNING if slow else OK, found=f"{seconds * 1000:.1f} ms", remedy=remedy)


def _sync_seconds(path: Path) -> float:
    """How long a small durable file takes, by way of the one module that syncs files for others."""
    from arraystore.storage.outfile import appearing

    place = path / f"{TEMPORARY}doctor-{os.getpid()}"
    began = time.monotonic()
    try:
        with appearing(place, overwrite=True) as partial:
            partial.write_bytes(b"doctor")
        return time.monotonic() - began
    finally:
        place.unlink(missing_ok=True)


def _python() -> Check:
    return Check(name="python", state=OK, found=f"{sys.version.split()[0]} at {sys.executable}")


def _libraries() -> Iterator[Check]:
    """Whether the libraries that are needed are there, and new enough."""
    try:
        needs = metadata.requires("arraystore") or []
        version = metadata.version("arraystore")
    except metadata.PackageNotFoundError:
        yield Check(name="libraries", state=WARNING, found="arraystore isn't installed as a package", remedy="`pip install` it")
        return
    problems, told = [], [f"arraystore {version}"]
    for need in needs:
        match = re.fullmatch(r"([\w.-]+)(?:\[[^]]*])?>=([\w.]+)", need.replace(" ", ""))
        if match is None:
            continue  # of an extra
        name, least = match.groups()
        try:
            there = metadata.version(name)
        except metadata.PackageNotFoundError:
            problems.append(f"{name} is missing")
            continue
        told.append(f"{name} {there}")
        if _numbers(there) < _numbers(least):
            problems.append(f"{name} {there} is older than {least}")
    if problems:
        yield Check(name="libraries", state=PROBLEM, found="; ".join(problems), remedy="`pip install --upgrade arraystore` brings them")
    else:
        yield Check(name="libraries", state=OK, found=", ".join(told))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0])[:3])
