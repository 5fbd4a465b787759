"""What a caller wants the next version of a dataset to hold, as a value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from arraystore.frames.rows import Rows
from arraystore.versions.commit import Interval, Pin, SegmentEntry
from layouts.cuts import cut_by_window
from layouts.schema import Schema
from layouts.windows import Window

type Cut = list[tuple[Window, slice | np.ndarray]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a caller wants the next version to hold."""

    operation: str
    role: str
    rows: Rows | None = None
    written: Mapping[str, tuple[SegmentEntry, ...]] = field(default_factory=dict)  # rows that lie in segments already, by window
    schema: Schema | None = None
    window: str | None = None
    coverage: tuple[Interval, ...] = ()
    completeness: str | None = None
    reopen: bool = False
    replaces: int | None = None
    seen: int | None = None  # windows that changed after this version are somebody else's: Conflict
    inputs: tuple[Pin, ...] = ()
    token: tuple[str, int] | None = None
    window_attributes: Mapping[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    state: str | None = None
    reason: str = ""
    cuts: list[Cut] = field(default_factory=list, init=False, compare=False, repr=False)  # what `cut` found, once

    def cut(self) -> Cut | None:
        """Which of its rows lie in which window; every row is looked at only once, although a request is planned several times."""
        if self.rows is None or not self.rows.count:
            return None
        if not self.cuts:
            self.cuts.append(cut_by_window(self.rows.schema, self.rows.arrays[self.rows.schema.axis]))
        return self.cuts[0]

    @property
    def says_nothing(self) -> bool:
        """Whether a version of it would tell nobody anything."""
        has_rows = self.rows is not None and self.rows.count > 0
        told = (self.coverage, self.completeness, self.token, self.inputs, self.window_attributes, self.attributes, self.state)
        return not has_rows and not self.written and not any(told)
