"""What a run of the demo left behind, as values."""

from dataclasses import dataclass

import arraystore
from arraystore.demo.backtesting import Backtest
from arraystore.demo.live import LiveResult
from arraystore.demo.quality import Verdict
from arraystore.demo.recording import Recorded
from arraystore.demo.report import ClassTotals, RawSize


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrected:
    """A correction as a reader meets it: rows of the window at the experiment's pin, and at the newest version."""

    key: tuple[str, ...]
    window: str
    reason: str
    pinned_version: int
    pinned_rows: int
    newest_version: int
    newest_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """Everything the demo did or found done. `picture` is a path, or None where matplotlib isn't installed."""

    root: str
    source: str
    seconds: float
    recorded: tuple[Recorded, ...]
    verdicts: tuple[Verdict, ...]
    released: tuple[tuple[tuple[str, ...], str], ...]
    backtest: Backtest | None
    live: LiveResult | None
    corrected: Corrected | None
    picture: str | None
    totals: tuple[ClassTotals, ...]
    raw_sizes: tuple[RawSize, ...]
    findings: tuple[arraystore.Finding, ...]

    def to_json(self) -> dict[str, object]:
        """The outline, in plain JSON types."""
        return {
            "root": self.root,
            "source": self.source,
            "seconds": round(self.seconds, 2),
            "messages": sum(item.appended + item.present for item in self.recorded),
            "promoted": [_place(key, verdict.window) for verdict in self.verdicts for key in verdict.promoted],
            "held": [_place(verdict.held, verdict.window) for verdict in self.verdicts if verdict.held],
            "released": [_place(key, window) for key, window in self.released],
            "experiment": None if self.backtest is None else "/".join(self.backtest.key),
            "session": None if self.live is None else self.live.session,
            "corrected": None if self.corrected is None else _place(self.corrected.key, self.corrected.window),
            "picture": self.picture,
            "classes": [row.to_json() for row in self.totals],
            "findings": len(self.findings),
        }


def _place(key: tuple[str, ...], window: str) -> str:
    return f"{'/'.join(key)} {window}"
