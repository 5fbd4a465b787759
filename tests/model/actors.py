"""Who works on the dataset: a handle in this process, one on a medium that fails when told, or one in another process.

Each keeps the handle it opened, so that it knows no more than it has seen; all take the same orders and give the same answers.
"""

import multiprocessing
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, Protocol

import arraystore
from arraystore import Column, Kind, Schema
from arraystore.datasets.request import Request
from tests.model.model import Row

KEY = ("product", "variant", "venue", "X")
EXPERIMENT = "of the model"
COLUMNS = (
    Column(name="time", kind=Kind.TIME),
    Column(name="number", dtype="int64"),
    Column(name="label", kind=Kind.DICTIONARY),
    Column(name="note", kind=Kind.TEXT, nullable=True),
)
EXTRA = Column(name="extra", nullable=True)


class Answer(NamedTuple):
    """What became of an order: an error's name and text, or the version that it made or met."""

    error: str = ""
    told: str = ""
    version: int = 0
    repeated: bool = False


def schema(order: str, *, evolved: bool = False) -> Schema:
    """What the rows look like, before and after the change."""
    return Schema(name="ticks", order=order, columns=(*COLUMNS, EXTRA) if evolved else COLUMNS)


def columns(rows: Sequence[Row], names: Sequence[str]) -> dict[str, list[Any]]:
    """Rows as they are handed in."""
    return {name: [getattr(row, name) for row in rows] for name in names}


class Actor(Protocol):
    """Somebody with a handle."""

    version: int
    evolved: bool

    def do(self, order: str, *values: Any, **options: Any) -> Answer: ...


class Local:
    """In this process; each one with a store, a log and a handle of its own."""

    def __init__(self, url: str, order: str, opener: Any = None) -> None:
        self._order = order
        options = {} if opener is None else {"opener": opener}
        self.store = arraystore.open_store(url, role="analysis", **options)
        self._operations = arraystore.open_store(url, role="operations", **options)
        self._backtests = arraystore.open_store(url, role="backtesting", **options)
        self.dataset: arraystore.Dataset | None = None

    @property
    def version(self) -> int:
        """The version that the handle stays at; 0 without one."""
        return 0 if self.dataset is None else self.dataset.version

    @property
    def evolved(self) -> bool:
        """Whether the handle knows of the change of schema."""
        return self.dataset is not None and len(self.dataset.schema.columns) > len(COLUMNS)

    def do(self, order: str, *values: Any, **options: Any) -> Answer:
        """Carry out an order."""
        try:
            return getattr(self, order)(*values, **options)
        except arraystore.ArrayStoreError as error:
            return Answer(type(error).__name__, str(error))

    def create(self) -> Answer:
        self.dataset = self.store.derived.create(KEY, schema(self._order))
        return Answer(version=self.version)

    def delete(self) -> Answer:
        version = self.store.derived.delete(KEY, reason="to see")
        self.dataset = None
        return Answer(version=version)

    def open(self) -> Answer:
        self.dataset = None
        self.dataset = self.store.derived[KEY]
        return Answer(version=self.version)

    def refresh(self) -> Answer:
        assert self.dataset is not None
        return Answer(version=self.dataset.refresh().version)

    def append(self, rows: Sequence[Row], **options: Any) -> Answer:
        return self._receipt("append", columns(rows, self._names()), **options)

    def replace(self, window: str, rows: Sequence[Row], **options: Any) -> Answer:
        return self._receipt("replace", window, columns(rows, self._names()), **options)

    def withdraw(self, window: str, **options: Any) -> Answer:
        return self._receipt("withdraw", window, **options)

    def update(self, **options: Any) -> Answer:
        return self._receipt("update", **options)

    def evolve(self) -> Answer:
        return self._receipt("evolve", schema(self._order, evolved=True))

    def compact(self, **options: Any) -> Answer:
        version = self._operations.derived[KEY].compact(**options).version
        return Answer(version=version or 0)

    def gc(self) -> Answer:
        self._operations.gc("derived", grace="0s", dry_run=False)
        return Answer()

    def expire(self, keep: int) -> Answer:
        done = self._operations.expire("derived", keep_versions=keep, delay="0s", dry_run=False)
        return Answer(version=max((told.target for told in done.values() if told.step == "publish"), default=0))

    def purge(self, windows: Sequence[str]) -> Answer:
        return Answer(version=self._operations.derived[KEY].purge(windows, reason="to see").version or 0)

    def seal(self) -> Answer:
        """As the surfaces do it whose datasets end."""
        assert self.dataset is not None
        role = self.dataset.role
        receipt = self.dataset.commit(Request(operation="seal", role=role, completeness="complete", state="sealed", reason="to see"))
        return Answer(version=receipt.version)

    def append_stream(self, batches: Sequence[Sequence[Row]], **options: Any) -> Answer:
        names = self._names()
        return self._receipt("append_stream", (columns(rows, names) for rows in batches), **options)

    def add_file(self, name: str, data: bytes) -> Answer:
        assert self.dataset is not None
        self.dataset.add_file(data, name)
        return Answer(version=self.dataset.version)

    def run(self, number: int, start: int, end: int) -> Answer:
        """A backtest: it reads a range, keeps what it makes of it, and ends sealed; which version it read is told."""
        with self._backtests.experiments.run(EXPERIMENT, f"run-{number}") as run:
            frame = run.read(self._backtests.derived[KEY], start, end)
            names = [column.name for column in COLUMNS]
            if frame.row_count:
                run.write("seen", {name: frame[name] for name in names}, schema(self._order))
        return Answer(version=run.inputs[0].version)

    def _names(self) -> list[str]:
        assert self.dataset is not None
        return [column.name for column in self.dataset.schema.columns]

    def _receipt(self, order: str, *values: Any, **options: Any) -> Answer:
        receipt = getattr(self.dataset, order)(*values, **options)
        return Answer(version=receipt.version, repeated=receipt.repeated)


def serve(pipe: Connection) -> None:
    """Take orders in another process until there are no more."""
    actor: Local | None = None
    while (order := pipe.recv()) is not None:
        name, values, options = order
        if name == "be":
            actor = Local(*values)
            pipe.send((Answer(), 0, False))
        else:
            assert actor is not None
            answer = actor.do(name, *values, **options)
            pipe.send((answer, actor.version, actor.evolved))


class Remote:
    """In another process, which is started once and then serves one store after another."""

    _pipe: Connection | None = None

    def __init__(self, url: str, order: str) -> None:
        if Remote._pipe is None:
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload(["tests.model.actors"])
            Remote._pipe, theirs = context.Pipe()
            context.Process(target=serve, args=(theirs,), daemon=True).start()
        self.do("be", url, order)

    def do(self, order: str, *values: Any, **options: Any) -> Answer:
        """Have an order carried out."""
        assert Remote._pipe is not None
        Remote._pipe.send((order, values, options))
        answer, self.version, self.evolved = Remote._pipe.recv()
        return answer
