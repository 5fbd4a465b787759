"""The whole story: every role in turn, through the public interface, on one store."""

import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

import arraystore
from arraystore.demo import report
from arraystore.demo.analysis import write_bars
from arraystore.demo.backtesting import Backtest, busiest_instrument, run_backtest
from arraystore.demo.captures import Capture, inspect_capture, inspect_captures
from arraystore.demo.closing import show
from arraystore.demo.live import LiveResult, trade_through_a_kill
from arraystore.demo.paint import paint
from arraystore.demo.quality import Verdict, release_repaired, review, void_trade
from arraystore.demo.recording import Recorded, record
from arraystore.demo.result import Corrected, DemoResult
from arraystore.demo.simulator import GAMMA, damaged_lines, write_capture
from arraystore.demo.sources import find_captures
from arraystore.demo.strategy import Parameters

DEFAULT_ROOT = "demo-store"
SESSION = "paper-1"


def run_demo(
    root: str | os.PathLike[str] | None = None,
    captures: Sequence[Path] = (),
    *,
    console: Console | None = None,
    messages: int = 40_000,
    environment: Mapping[str, str] = os.environ,
) -> DemoResult:
    """Play all six roles on captured market data, and show what lies where.

    Safe to repeat on the same root, also after it was killed: what is there is kept, what is missing is added, nothing is doubled.

    Parameters
    ----------
    root
        A directory, or the URL of a bucket; `demo-store` in the working directory by default.
    captures
        Capture files to record; by default shared recordings where they are found, else simulated ones.
    messages
        Lines of each simulated capture.

    Raises
    ------
    InvalidInput
        For captures that can't be used, before anything is written.
    """
    started = time.monotonic()
    console = console or Console()
    place = os.fspath(root) if root is not None else DEFAULT_ROOT
    if place.startswith("memory:"):
        raise arraystore.InvalidInput("the live role is a process of its own, which can't reach this memory; name a directory", "root")
    with tempfile.TemporaryDirectory(prefix="arraystore-demo-") as scratch:
        sources = find_captures(captures, Path(scratch), environment=environment, messages=messages)
        known = inspect_captures(sources.paths)
        console.print(f"[bold]{len(known)} captures[/], {sum(c.lines for c in known):,} messages: {sources.told}")
        return _Story(place, known, Path(scratch), console, messages).tell(sources.told, started)


class _Story:
    """One telling: the store's root, the captures, and how far the progress bar is."""

    def __init__(self, root: str, captures: Sequence[Capture], scratch: Path, console: Console, messages: int) -> None:
        self.root = root
        self.captures = captures
        self.damaged, self.repaired = _injected(scratch, max(400, messages // 10))
        self.console = console
        columns = (TextColumn("[progress.description]{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
        self.progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self.share = (sum(c.lines for c in captures) + self.damaged.lines) // 5
        self.task = self.progress.add_task("", total=16 * self.share + 2 * self.repaired.lines)

    def tell(self, source: str, started: float) -> DemoResult:
        """Play every role; the steps are those of the page that describes the demo."""
        picture_path = Path("arraystore-demo.png") if "://" in self.root else Path(f"{os.path.normpath(self.root)}.png")
        with self.progress:
            recorded = self._record([*self.captures, self.damaged], "recorder-1", "1 data-recording")
            verdicts, cursor = self._review(None, "2 data-quality")
            backtest = self._backtest()
            live = None if backtest is None else self._trade(backtest)
            picture = None if backtest is None else self._analyse(backtest, picture_path, "4 analysis")
            recorded += self._record([self.repaired], "recorder-2", "5 data-recording")
            more, _ = self._review(cursor, "5 data-quality")
            released = self._release()
            corrected = None if backtest is None else self._correct(backtest)
            picture = picture if backtest is None else self._analyse(backtest, picture_path, "5 analysis", drawn=picture)
            totals, sizes, findings = self._look(recorded)
        result = DemoResult(
            root=self.root,
            source=source,
            seconds=time.monotonic() - started,
            recorded=tuple(recorded),
            verdicts=(*verdicts, *more),
            released=tuple(released),
            backtest=backtest,
            live=live,
            corrected=corrected,
            picture=None if picture is None else str(picture),
            totals=tuple(totals),
            raw_sizes=tuple(sizes),
            findings=tuple(findings),
        )
        show(result, self.console)
        return result

    def _open(self, role: str, describe: str, *, create: bool = False) -> arraystore.Store:
        """Take on a role."""
        self.progress.update(self.task, description=describe)
        return arraystore.open_store(self.root, role=role, create=create)

    def _advance(self, messages: int) -> None:
        self.progress.advance(self.task, messages)

    def _say(self, step: str, text: str) -> None:
        self.console.print(f"[bold cyan]{step:<17}[/] {text}", highlight=False)

    def _record(self, captures: Sequence[Capture], recorder: str, step: str) -> list[Recorded]:
        """Step 1: captures into raw."""
        store = self._open("data-recording", step, create=True)
        recorded = record(store, captures, recorder=recorder, advance=self._advance)
        for item in recorded:
            there = f" ({item.present:,} were there already)" if item.present else ""
            odd = f", {item.malformed} of them lines without a capture time" if item.malformed else ""
            self._say(step, f"raw/{'/'.join(item.key)}: {item.appended:,} messages{there}{odd}, complete: {', '.join(item.windows)}")
        return recorded

    def _review(self, cursor: str | None, step: str) -> tuple[list[Verdict], str]:
        """Step 2: complete raw windows into canonical or quarantine."""
        verdicts, cursor = review(self._open("data-quality", step), cursor, advance=self._advance)
        for verdict in verdicts:
            name = f"{'/'.join(verdict.source)} {verdict.window}"
            if verdict.held:
                self._say(step, f"{name} -> [red]quarantine[/]: {len(verdict.failed)} checks failed")
                for check in verdict.failed:
                    self._say("", f"  {check}")
                continue
            rows = ", ".join(f"{'/'.join(key[1:])} {count:,}" for key, count in verdict.promoted.items() if count)
            self._say(step, f"{name} -> [green]canonical[/]: {rows or 'stands there already'}")
        return verdicts, cursor

    def _backtest(self) -> Backtest | None:
        """Step 3: an experiment run and its records."""
        store = self._open("backtesting", "3 backtesting")
        instrument = busiest_instrument(store, besides=GAMMA.symbol)
        if instrument is None:
            self._say("3 backtesting", "no window of these captures was promoted, so there is nothing to test, trade or correct")
            return None
        backtest = run_backtest(store, instrument, Parameters())
        self._advance(self.share)
        pins = ", ".join(f"{pin.key[1]}@{pin.version}" for pin in backtest.inputs)
        figures = ", ".join(f"{name} {value:,.2f}" for name, value in backtest.metrics.items())
        done = " (finished before)" if backtest.present else ""
        self._say("3 backtesting", f"experiments/{'/'.join(backtest.key)}{done} read {pins} of {instrument}: {figures}")
        return backtest

    def _trade(self, backtest: Backtest) -> LiveResult:
        """Step 4: a live session that is killed and recovers."""
        self._open("live", "4 live")
        result = trade_through_a_kill(self.root, SESSION, backtest.instrument)
        self._advance(self.share)
        if result.acknowledged:
            found = f"killed (SIGKILL) after it told {result.acknowledged} records; {result.recovery.last_sequence} recovered, no gap"
            self._say("4 live", f"live/{SESSION}: {found}, {result.reconciled} reconciled with the venue")
        elif not result.present:
            left = f"{result.recovery.last_sequence} records of a run that was killed recovered, no gap"
            self._say("4 live", f"live/{SESSION}: {left}, {result.reconciled} reconciled with the venue")
        held = ", ".join(f"{count} {record}" for record, count in sorted(result.rows.items()))
        self._say("4 live", f"live/{SESSION} holds {held}{' (ended before)' if result.present else ''}")
        return result

    def _analyse(self, backtest: Backtest, path: Path, step: str, *, drawn: Path | None = None) -> Path | None:
        """Step 4, and again after corrections: bars and the picture."""
        store = self._open("analysis", step)
        written = [bars for bars in write_bars(store) if bars.rows]
        for revised, what in ((False, "written"), (True, "made again from corrected trades")):
            chosen = [bars for bars in written if bars.revised is revised]
            if chosen:
                names = dict.fromkeys(f"{bars.key[3]} {bars.key[1]}" for bars in chosen)
                self._say(step, f"derived/bars: {sum(bars.rows for bars in chosen):,} bars {what} ({', '.join(names)})")
        picture = paint(store, backtest, path) if written or drawn is None else drawn
        self._advance(self.share)
        return picture

    def _release(self) -> list[tuple[tuple[str, ...], str]]:
        """Step 2, later: what was held is released once canonical has the window whole."""
        released = release_repaired(self._open("data-quality", "5 data-quality"))
        for key, window in released:
            self._say("5 data-quality", f"quarantine/{'/'.join(key)} {window}: [green]released[/], repaired from another recorder")
        return released

    def _correct(self, backtest: Backtest) -> Corrected | None:
        """Step 5: one canonical window is corrected; the experiment's pin reads what it read."""
        (pin,) = (pin for pin in backtest.inputs if pin.key[1] == "trades")
        correction = void_trade(self._open("data-quality", "5 data-quality"), pin.key)
        if correction is None:
            return None
        store = self._open("backtesting", "5 backtesting")
        old, new = store.open_pin(pin), store.canonical[pin.key]
        corrected = Corrected(
            key=pin.key,
            window=correction.window,
            reason=correction.reason,
            pinned_version=pin.version,
            pinned_rows=old.read(window=correction.window).row_count,
            newest_version=new.version,
            newest_rows=new.read(window=correction.window).row_count,
        )
        self._advance(self.share)
        before = f"version {corrected.pinned_version}, {corrected.pinned_rows:,} rows"
        after = f"version {corrected.newest_version}, {corrected.newest_rows:,} rows"
        self._say("5 data-quality", f"canonical/{'/'.join(pin.key)} {corrected.window}: {corrected.reason}")
        self._say("5 backtesting", f"the experiment's pin reads {before}; the newest is {after}")
        return corrected

    def _look(self, recorded: Sequence[Recorded]) -> tuple[list[report.ClassTotals], list[report.RawSize], list[arraystore.Finding]]:
        """The end: what lies where, and whether all of it is as it was written."""
        store = self._open("operations", "what lies where")
        totals = report.class_totals(store)
        findings = [finding for surface in report.surfaces(store) for key in surface.find() for finding in surface[key].verify()]
        self._advance(self.share)
        return totals, report.raw_sizes(store, recorded, [*self.captures, self.damaged, self.repaired]), findings


def _injected(scratch: Path, messages: int) -> tuple[Capture, Capture]:
    """A capture of a third instrument as a failing disk left it, and as a second recorder saw it."""
    whole, damaged = damaged_lines(messages=messages)
    paths = (scratch / "sim_gammausdt_damaged.gz", scratch / "sim_gammausdt_whole.gz")
    for path, lines in zip(paths, (damaged, whole), strict=True):
        write_capture(path, lines)
    return inspect_capture(paths[0]), inspect_capture(paths[1])
