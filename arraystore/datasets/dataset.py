"""A dataset as its writers have it: each call here makes the next version, or raises before anything is written."""

from collections.abc import Iterable, Mapping
from typing import Any

from arraystore import arguments
from arraystore.arguments import IntervalLike, TimeLike
from arraystore.datasets.adding import Adding, Receipt
from arraystore.datasets.artifacts import ArtifactSource
from arraystore.datasets.compaction import Compaction, CompactionRule, Compactor
from arraystore.datasets.evolution import evolve_draft
from arraystore.datasets.filing import keep_file
from arraystore.datasets.purging import ALL_WINDOWS, Choice, Purge, Purger
from arraystore.datasets.request import Request
from arraystore.datasets.writer import WITHDRAWN, Writer
from arraystore.errors import InvalidInput
from arraystore.versions.commit import ArtifactEntry, Pin
from arraystore.versions.draft import Draft
from arraystore.versions.redaction import tombstones
from arraystore.versions.state import State
from layouts.chunking import SEGMENT_ROWS
from layouts.classes import Action
from layouts.schema import Schema
from layouts.times import parse_time
from layouts.windows import WindowLength


class Dataset(Adding):
    """A dataset as seen by one role: it stays at the version it was opened at until `refresh()` or an own write.

    Opened through a surface, never by itself. Safe to share between threads.
    """

    def replace(
        self,
        window: str,
        data: Any,
        *,
        reason: str,
        inputs: Iterable[Pin] = (),
        coverage: Iterable[IntervalLike] | IntervalLike | None = None,
        completeness: str = "complete",
        token: tuple[str, int] | None = None,
        window_attributes: Mapping[str, Any] | None = None,
    ) -> Receipt:
        """Put other rows in a window's place, as a new version; older versions and pins read what they read before.

        All rows must lie in the window. `Conflict` if another writer changed the window after this handle's version.
        """
        self._place.require(Action.REPLACE)
        self._window(window)
        request = Request(
            operation="replace",
            role=self._place.role.value,
            rows=self._rows_from(data, self.schema_of(window)),
            window=window,
            coverage=arguments.coverage(coverage),
            completeness=arguments.completeness(completeness),
            replaces=self.version,
            inputs=arguments.inputs(inputs),
            token=arguments.token(token),
            window_attributes=arguments.json_object(window_attributes, "window_attributes"),
            reason=arguments.text(reason, "reason", empty=False),
        )
        return self.commit(request)

    def withdraw(self, window: str, *, reason: str) -> Receipt:
        """Take a window's rows out, as a new version, without others in their place; older versions and pins still read them.

        Completeness and coverage start afresh, and the window's attribute `withdrawn` says why. Rows come back by `replace`, or by
        `append(…, reopen=True)`. `Conflict` if another writer changed the window after this handle's version.
        """
        self._place.require(Action.REPLACE)
        self._window(window)
        reason = arguments.text(reason, "reason", empty=False)
        request = Request(
            operation="withdraw",
            role=self._place.role.value,
            window=window,
            replaces=self.version,
            window_attributes={WITHDRAWN: reason},
            reason=reason,
        )
        return self.commit(request)

    def evolve(self, schema: Schema, *, window_from: TimeLike | None = None, reason: str = "") -> Receipt:
        """Put another schema in force, as a new version; `InvalidInput` with every reason why that can't be.

        It may add nullable columns, allow nulls, widen types without loss, append to vocabularies, and change descriptions and
        attributes. Rows that are there read under it; `at(earlier)` reads them under their own. With `window_from` it may give windows
        another length: that of rows from that moment on, which must be where a window of either length begins, and no earlier than any
        window that is there ends. Handles that haven't seen this yet may go on to append rows of the old schema. Any other change
        makes another dataset: `create(…, supersedes=pin)`. A schema that is in force already makes no version.
        """
        self._place.require(Action.WRITE)
        moment = None if window_from is None else parse_time(window_from, "window_from")
        reason = arguments.text(reason, "reason")

        def decide(state: State) -> Draft | None:
            Writer(self._log, self.uuid).refuse_another(state)
            return evolve_draft(state, self._place.role.value, schema, moment, reason)

        state = self._log.publish(decide)
        self._move(state)
        return Receipt(state.version, 0, (), self._pin_of(state.version, state.digest))

    def update(
        self,
        *,
        attributes: Mapping[str, Any] | None = None,
        window: str | None = None,
        window_attributes: Mapping[str, Any] | None = None,
        completeness: str | None = None,
        reason: str = "",
    ) -> Receipt:
        """Merge attributes into the dataset or a window of it (None removes one), or change a window's completeness."""
        self._place.require(Action.WRITE)
        if window is not None:
            self._window(window)
        request = Request(
            operation="update",
            role=self._place.role.value,
            window=None if window is None else self._on_disk(window),
            completeness=arguments.completeness(completeness),
            reopen=True,
            attributes=arguments.attributes(attributes),
            window_attributes=arguments.json_object(window_attributes, "window_attributes"),
            reason=arguments.text(reason, "reason"),
        )
        return self.commit(request)

    def add_file(
        self, file: ArtifactSource, name: str | None = None, *, media_type: str | None = None, inputs: Iterable[Pin] = ()
    ) -> ArtifactEntry:
        """Keep a file beside the rows (a path, bytes, or an open binary file); a new one of the same name is its next version."""
        self._place.require(Action.WRITE)
        pins = arguments.inputs(inputs)
        if media_type is not None:
            arguments.text(media_type, "media_type", empty=False)
        self._check_pins(pins)
        entry, state = keep_file(self._log, self._place.role.value, file, name, media_type, inputs=pins, check=self._refuse_closed)
        self._move(state)
        self._recheck(pins, state)
        return entry

    def _refuse_closed(self, state: State) -> None:
        Writer(self._log, self.uuid).refuse_another(state)
        self._refuse_sealed(state)

    def compact(
        self,
        window: str | Iterable[str] | None = None,
        *,
        dry_run: bool = False,
        max_rows: int = SEGMENT_ROWS,
        leave_bytes: int | None = None,
        tiered: bool = False,
        threads: int | None = None,
    ) -> Compaction:
        """Make one segment of the many segments and tails of a window, of several, or of all (None): the same rows, in the same order.

        Role operations. Older versions and pins read what they read before; logical digests prove every column before anything is
        published. What other writers do meanwhile stays; where they changed the very same segments, it is planned again.

        Parameters
        ----------
        dry_run
            Change nothing: the runs that would become one segment each come back without a `result`.
        max_rows
            Rows of a segment at most.
        leave_bytes
            Leave segments of so many bytes or more as they are.
        tiered
            Of windows that aren't complete yet, leave segments with more rows than all that came after them: for windows that are compacted
            again and again while they grow, which then costs each row log2(n) times in all, and leaves about as many segments. Without
            it every row is written anew each time.
        """
        self._place.require(Action.MAINTAIN)
        rule = CompactionRule(
            max_rows=arguments.whole(max_rows, "max_rows", 1, SEGMENT_ROWS),
            leave_bytes=None if leave_bytes is None else arguments.whole(leave_bytes, "leave_bytes", 0),
            tiered=tiered,
        )
        names = None
        if window is not None:
            names = [self._window(name).window for name in ((window,) if isinstance(window, str) else arguments.texts(window, "window"))]
        compactor = Compactor(self._log, self.uuid, self.role, rule, arguments.threads(threads))
        if dry_run:
            return compactor.plan(names)
        done, state = compactor.compact(names)
        self._move(state)
        return done

    def purge(
        self,
        window: str | Iterable[str] | None = None,
        *,
        before: TimeLike | None = None,
        reason: str,
        dry_run: bool = False,
    ) -> Purge:
        """Take the rows of windows out of every version, for good: their licence or age ended. It can't be undone.

        Role operations. The bytes are gone from this store when this returns, those in commits too; copies are purged by themselves.
        Manifests and digests of older versions stay, and a tombstone that says who did it, when and why: reading these rows at an older
        version, by a pin or tag, raises `Purged` with it. An interrupted purge goes on when it is called again. Rows that a dataset deleted
        before had under this key in these windows go, too.

        Parameters
        ----------
        window
            One, or several; `"*"` for all that hold or ever held rows.
        before
            Instead: all of them that end at this time or before it, also those that were withdrawn.
        dry_run
            Change nothing, and tell what would go.
        """
        self._place.require(Action.PURGE)
        reason = arguments.text(reason, "reason", empty=False)
        if (window is None) == (before is None):
            raise InvalidInput("name windows, or a time before which they end; one of the two", "window")
        purger = Purger(self._log, self.uuid, self.role, self._meant(window, before), reason)
        if dry_run:
            return purger.plan()
        done, state = purger.purge()
        self._move(state)
        return done

    def _meant(self, window: str | Iterable[str] | None, before: TimeLike | None) -> Choice:
        """The windows that a purge is of."""
        if window == ALL_WINDOWS:
            return Choice()
        if window is not None:
            given = (window,) if isinstance(window, str) else arguments.texts(window, "window")
            return Choice(names=frozenset(name if name in tombstones(self._state) else self._window(name).window for name in given))
        if self._state.schema is None or self.schema.window is WindowLength.WHOLE:
            raise InvalidInput("its windows don't end in time: name those that are meant", "before")
        return Choice(until=parse_time(before, "before"))
