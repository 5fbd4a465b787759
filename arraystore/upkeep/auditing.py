"""`audit`: who wrote what, in order; whether the chains of commits are whole; and which anchors they hold to.

A chain proves that nothing before its head was changed, to whoever knows the head. So each digest of a version that lies somewhere else
is an anchor: heads that were exported, pins in tags and in the commits of other datasets, copies.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec

from arraystore.datasets.scan import newest_by_listing, scan
from arraystore.errors import ArrayStoreError, InvalidInput, NotFound
from arraystore.findings import Finding, finding
from arraystore.versions.commit import Commit, Pin
from arraystore.versions.log import Log
from arraystore.versions.manifest import Version, version_of
from layouts.naming import format_key, unescape

HELD, BROKEN, EXPIRED = "held", "broken", "expired"


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a dataset, told apart from all others by its digest."""

    dataset: str
    uuid: str
    version: int
    digest: str


class Heads(msgspec.Struct, frozen=True, kw_only=True):
    """The newest versions of a store's datasets: what a later audit can be held to. `digest` is over all of them."""

    store: str
    heads: tuple[Head, ...]
    digest: str

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        built: dict[str, Any] = msgspec.to_builtins(self)
        return built


def heads_of(store: str, heads: Iterable[Head]) -> Heads:
    """Heads by dataset, and the SHA-256 of a line of each: address, UUID, version and digest, separated by blanks."""
    listed = tuple(sorted(heads, key=lambda head: head.dataset))
    lines = "".join(f"{head.dataset} {head.uuid} {head.version} {head.digest}\n" for head in listed)
    return Heads(store=store, heads=listed, digest=hashlib.sha256(f"{store}\n{lines}".encode()).hexdigest())


def read_heads(data: bytes, store: str, where: str) -> Heads:
    """Heads that were exported from this store; `InvalidInput` for anything else, and for what was changed since."""
    try:
        heads = msgspec.json.decode(data, type=Heads)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"{where} holds no heads ({error}): give a file that `arraystore audit --head --json` wrote", "expect"
        ) from error
    if heads.store != store:
        raise InvalidInput(f"{where} tells of store {heads.store}, and this is {store}: give the heads of this one", "expect")
    if heads_of(heads.store, heads.heads) != heads:
        raise InvalidInput(f"{where} was changed since it was written: its digest isn't that of its heads", "expect")
    return heads


class Anchor(msgspec.Struct, frozen=True, kw_only=True):
    """A digest of a version that lies somewhere else (`source`, of `kind` head, tag, pin or copy), and whether the log still holds to it.

    `status` is `held`, `broken`, or `expired` where retention took the version, so that nothing can be told; `problem` says how it broke.
    """

    kind: str
    source: str
    dataset: str
    version: int
    digest: str
    uuid: str = ""
    status: str = HELD
    problem: str = ""


class Audited(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset's chain: kept versions, the newest one's digest, and the newest version that an anchor holds (0: none does)."""

    dataset: str
    uuid: str
    oldest: int
    version: int
    digest: str
    anchored: int = 0
    whole: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One commit, and the dataset it belongs to; `running_time` orders commits of several datasets."""

    dataset: str
    running_time: int
    version: Version

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, times as ISO-8601 UTC."""
        return {"dataset": self.dataset, **self.version.to_json()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What an audit tells: every commit in the order of their times, each chain, each anchor, and what is wrong."""

    store: str
    written: tuple[Written, ...]
    datasets: tuple[Audited, ...]
    anchors: tuple[Anchor, ...]
    findings: tuple[Finding, ...]

    @property
    def is_clean(self) -> bool:
        """Whether every chain is whole, and no anchor is broken."""
        return not self.findings and all(anchor.status != BROKEN for anchor in self.anchors)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "store": self.store,
            "clean": self.is_clean,
            "written": [each.to_json() for each in self.written],
            "datasets": msgspec.to_builtins(self.datasets),
            "anchors": msgspec.to_builtins(self.anchors),
            "findings": [each.to_json() for each in self.findings],
        }


@dataclass(slots=True)
class _Chain:
    """One dataset's log as it was read: its commits, and the digest and dataset of every version."""

    address: str
    log: Log
    commits: list[tuple[Commit, str]] = field(default_factory=list)
    versions: dict[int, tuple[str, str]] = field(default_factory=dict)  # dataset and digest
    floor: int = 0
    floor_digest: str = ""
    newest: int = 0
    findings: list[Finding] = field(default_factory=list)

    def read(self) -> None:
        """Fold all that is kept; what is wrong is noted."""
        log = self.log
        tell = partial(finding, log.storage_class, log.prefix)
        try:
            state = log.head()
            self.newest = state.version
        except ArrayStoreError as error:
            state, self.newest = None, newest_by_listing(log)
            if self.newest or not isinstance(error, NotFound):
                self.findings.append(tell(log.prefix, str(error)))
        try:
            self.floor = log.floor()
            self.floor_digest = log.beginning().digest if self.floor else ""
        except ArrayStoreError as error:
            self.findings.append(tell(f"{log.prefix}/_log/floor", str(error)))
        found: list[Finding] = []
        scan(
            log,
            self.newest,
            state,
            lambda where, problem: found.append(tell(where, problem)),
            deep=False,
            see=self._see,
        )
        told = {each.where for each in found}  # by what was looked at, rather than by what a reader stumbles over
        self.findings = [each for each in self.findings if each.where not in told] + found

    def _see(self, commit: Commit, digest: str) -> None:
        self.commits.append((commit, digest))
        self.versions[commit.version] = (commit.dataset, digest)

    def held(self, anchor: Anchor) -> Anchor:
        """The anchor, with whether this log holds to it."""
        status, problem = HELD, ""
        found = self.versions.get(anchor.version)
        if anchor.version <= self.floor:
            is_floor = anchor.version == self.floor
            status = HELD if is_floor and self.floor_digest == anchor.digest else BROKEN if is_floor else EXPIRED
            problem = "" if status == HELD else "retention removed it" if status == EXPIRED else f"it is {self.floor_digest}"
        elif found is None:
            end = f"the log ends at version {self.newest}" if anchor.version > self.newest else "its commit can't be read"
            status, problem = BROKEN, end
        elif found[1] != anchor.digest or anchor.uuid not in ("", found[0]):
            status, problem = BROKEN, f"it is {found[1]} of dataset {found[0]}"
        return msgspec.structs.replace(anchor, status=status, problem=problem)


def audit_logs(
    store: str, logs: Iterable[Log], anchors: Iterable[Anchor], wanted: Callable[[str], bool], readable: Callable[[str], bool]
) -> Audit:
    """Read every wanted log once, and hold it to the anchors given and to the pins in the commits that are read.

    `readable` tells of an address whether its class is one that is looked at: what lies elsewhere anchors nothing here.
    """
    chains: dict[str, _Chain] = {}
    for log in logs:
        address = log.address
        if wanted(address):
            chains[address] = _Chain(address, log)
            try:
                chains[address].read()
            except ArrayStoreError as error:  # as where a link is in the way
                chains[address].findings.append(finding(log.storage_class, log.prefix, log.prefix, str(error)))
    checked = []
    for anchor in _once([*anchors, *_pins_of(chains.values())]):
        if not wanted(anchor.dataset) or not readable(anchor.dataset):
            continue
        chain = chains.get(anchor.dataset)
        gone = msgspec.structs.replace(anchor, status=BROKEN, problem="there is no log of it any more")
        checked.append(gone if chain is None or not chain.newest else chain.held(anchor))
    written = [_written(chain, commit, digest) for chain in chains.values() for commit, digest in chain.commits]
    return Audit(
        store=store,
        written=tuple(sorted(written, key=lambda each: (each.running_time, each.dataset, each.version.number))),
        datasets=tuple(_audited(chain, checked) for chain in chains.values() if chain.newest),
        anchors=tuple(checked),
        findings=tuple(each for chain in chains.values() for each in chain.findings),
    )


def _audited(chain: _Chain, anchors: list[Anchor]) -> Audited:
    commit, digest = chain.commits[-1] if chain.commits else (None, "")
    held = [anchor.version for anchor in anchors if anchor.dataset == chain.address and anchor.status == HELD]
    return Audited(
        dataset=chain.address,
        uuid=commit.dataset if commit else "",
        oldest=chain.floor + 1,
        version=chain.newest,
        digest=digest,
        anchored=max(held, default=0),
        whole=not chain.findings,
    )


def _written(chain: _Chain, commit: Commit, digest: str) -> Written:
    plain = partial(_plain_windows, by_time=chain.address.partition("/")[0] != "experiments")
    return Written(dataset=chain.address, running_time=commit.running_time, version=version_of(commit, digest, plain))


def _plain_windows(names: Iterable[str], *, by_time: bool) -> tuple[str, ...]:
    return tuple(names) if by_time else tuple(map(_unescaped, names))


def _unescaped(name: str) -> str:
    try:
        return unescape(name)
    except InvalidInput:
        return name


def anchor_of(pin: Pin, kind: str, source: str) -> Anchor:
    """A pin as an anchor of what it names."""
    dataset = f"{pin.storage_class}/{format_key(pin.key)}"
    return Anchor(kind=kind, source=source, dataset=dataset, version=pin.version, digest=pin.digest, uuid=pin.dataset)


def _pins_of(chains: Iterable[_Chain]) -> Iterator[Anchor]:
    """Pins of other datasets; what a dataset says of itself, its own chain tells."""
    for chain in chains:
        for commit, _ in chain.commits:
            for pin in commit.inputs:
                anchor = anchor_of(pin, "pin", f"{chain.address} version {commit.version}")
                if anchor.dataset != chain.address:
                    yield anchor


def _once(anchors: Iterable[Anchor]) -> Iterator[Anchor]:
    """Of anchors that say the same of the same version, from sources of one kind, the first."""
    seen = set()
    for anchor in anchors:
        said = (anchor.kind, anchor.dataset, anchor.version, anchor.digest, anchor.uuid)
        if said not in seen:
            seen.add(said)
            yield anchor


def head_of(log: Log) -> Head | None:
    """A dataset's newest version; None where there is none."""
    try:
        state = log.head()
    except NotFound:
        return None
    return Head(dataset=log.address, uuid=state.dataset, version=state.version, digest=state.digest)
