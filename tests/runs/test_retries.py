"""Runs that die, are tried again, and are never told twice."""

import subprocess
import sys
from pathlib import Path

import pytest

import arraystore
from arraystore.versions import liveness
from tests.runs.conftest import equity, experiments, sleeper

REPOSITORY = Path(__file__).parents[2]


def begin_and_kill(root: Path, run_id: str) -> None:
    """A run whose process is killed in the middle of it."""
    with subprocess.Popen([sys.executable, "-c", sleeper, root, run_id], stdout=subprocess.PIPE, cwd=REPOSITORY) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        assert experiments(root).state_of(("grid", run_id)) == "running"
        with pytest.raises(arraystore.Conflict, match=f"process {process.pid} on "):
            experiments(root).run("grid", run_id, retry=True)
        process.kill()


def test_a_run_whose_process_was_killed_is_told_abandoned_and_begun_again_empty(root: Path) -> None:
    begin_and_kill(root, "r")
    surface = experiments(root)
    assert surface["grid/r"].attributes["state"] == "running", "nobody wrote anything since"
    assert surface.state_of("grid/r") == "abandoned"
    assert [row.state for row in surface["grid"].runs()] == ["abandoned"]
    pin = surface["grid/r"].pin()
    with surface.run("grid", "r", retry=True) as run:
        assert (run.attempt, run.done) == (2, False)
        assert run.params == {"width": 3}, "as the attempt before"
        assert run.dataset.windows() == ()
        assert dict(run.dataset.artifacts()) == {}
        run.write("equity", equity(2))
        run.log(sharpe=1.0)
    assert surface.state_of("grid/r") == "finished"
    assert surface["grid/r"].read(window="equity").row_count == 2
    store = arraystore.open_store(root, role="analysis")
    assert store.open_pin(pin).read(window="equity").row_count == 7, "what the first attempt made is still there to be looked at"
    assert not surface["grid/r"].verify(deep=True)


def test_a_finished_run_comes_back_as_it_is(root: Path) -> None:
    surface = experiments(root)
    for attempt in range(2):
        with surface.run("grid", "r", params={"width": 3}, retry=True) as run:
            assert run.done == bool(attempt)
            if not run.done:
                run.log(sharpe=1.5)
                run.write("equity", equity(1))
        assert (run.metrics, run.params, run.attempt) == ({"sharpe": 1.5}, {"width": 3}, 1)
    version = surface["grid/r"].version
    for call in (lambda: run.log(sharpe=2.0), lambda: run.write("equity", equity(1)), lambda: run.add_file(b"x", "x")):
        with pytest.raises(arraystore.WindowClosed, match=r"run\.done"):
            call()
    assert surface["grid/r"].version == version
    with pytest.raises(arraystore.AlreadyExists, match="other params"):
        surface.run("grid", "r", params={"width": 4}, retry=True)
    with pytest.raises(arraystore.AlreadyExists):
        surface.run("grid", "r")


def test_a_failed_run_is_tried_again_and_counts_its_attempts(root: Path) -> None:
    surface = experiments(root)
    for number in range(1, 4):
        run = surface.run("grid", "r", params={"n": number}, retry=True)
        assert run.attempt == number
        with pytest.raises(ZeroDivisionError), run:
            _ = 1 / 0
    with surface.run("grid", "r", retry=True) as run:
        assert (run.attempt, run.params) == (4, {"n": 3})
    (row,) = surface["grid"].runs()
    assert (row.state, row.attempt, row.error) == ("finished", 4, None)
    assert [version.operation for version in surface["grid/r"].versions()] == ["create", "seal", "retry"] * 3 + ["create", "seal"]


def test_who_was_taken_for_dead_can_add_nothing_to_what_another_makes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    surface = experiments(root)
    slow = surface.run("grid", "r").__enter__()
    slow.write("equity", equity(3))
    monkeypatch.setattr(liveness, "SILENCE_SECONDS", 0.0)
    quick = experiments(root).run("grid", "r", retry=True)
    for call in (
        lambda: slow.write("equity", equity(1)),
        lambda: slow.add_file(b"x", "x"),
        lambda: slow.__exit__(None, None, None),
    ):
        with pytest.raises(arraystore.Conflict, match="took it over"):
            call()
    with quick:
        quick.write("equity", equity(2))
    again = experiments(root)["grid/r"]
    assert (again.read(window="equity").row_count, dict(again.artifacts())) == (2, {})
    assert [row.attempt for row in surface["grid"].runs(state="finished")] == [2]


def test_a_refreshed_handle_of_an_old_attempt_is_not_one_of_the_new(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = experiments(root).run("grid", "r")
    monkeypatch.setattr(liveness, "SILENCE_SECONDS", 0.0)
    experiments(root).run("grid", "r", retry=True)
    with pytest.raises(arraystore.NotFound, match="delet"):
        slow.dataset.refresh()
    with pytest.raises(arraystore.Conflict, match="took it over"):
        slow.write("equity", equity(1))


def test_a_retry_that_died_between_its_two_commits_is_taken_up(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    surface = experiments(root)
    with pytest.raises(ZeroDivisionError), surface.run("grid", "r", params={"width": 3}):
        _ = 1 / 0
    with monkeypatch.context() as patched:
        patched.setattr(surface, "_begin", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            surface.run("grid", "r", retry=True)
    assert ("grid", "r") not in experiments(root)
    assert experiments(root).find() == []
    assert len(experiments(root)["grid"].runs()) == 0
    with experiments(root).run("grid", "r", retry=True) as run:
        assert (run.attempt, run.params) == (2, {"width": 3})


def test_an_abandoned_run_is_sealed_with_a_note(root: Path) -> None:
    surface = experiments(root)
    with surface.run("grid", "r") as run:
        with pytest.raises(arraystore.Conflict, match="under way"):
            surface.abandon("grid/r", "stuck")
        surface.abandon("grid/r", "stuck", force=True)
        with pytest.raises(arraystore.WindowClosed):
            run.write("equity", equity(1))
        run.done = True  # nothing more can be said of it
    (row,) = surface["grid"].runs()
    assert (row.state, row.note) == ("abandoned", "stuck")
    with pytest.raises(arraystore.InvalidInput, match="abandoned"):
        surface.abandon("grid/r", "again")
    with pytest.raises(arraystore.AccessDenied):
        experiments(root, "operations").abandon("grid/r", "not mine")
    assert experiments(root, "analysis").state_of("grid/r") == "abandoned"
    with surface.run("grid", "r", retry=True) as run:
        assert run.attempt == 2


def test_signs_of_life_are_given_while_a_run_is_in_use(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    surface, path = experiments(root), root / "experiments" / "grid" / "r" / "_log" / "alive"
    monkeypatch.setattr(liveness.Heartbeat.__init__, "__defaults__", (0.01,))
    with surface.run("grid", "r") as run:
        thread = run._heartbeat._thread
        first = _wait_for(path)
        while path.read_bytes() == first:
            pass
        assert thread.is_alive()
    assert not thread.is_alive()
    assert not path.exists()
    lost = surface.run("grid", "lost")
    thread = lost._heartbeat._thread
    del lost
    thread.join(10)
    assert not thread.is_alive(), "nobody uses that run any more"


def _wait_for(path: Path) -> bytes:
    while not path.exists():
        pass
    return path.read_bytes()


def test_a_run_elsewhere_is_told_by_its_silence_alone(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    surface = experiments(root)
    with monkeypatch.context() as patched:
        patched.setattr(liveness, "machine", lambda: "another boot")
        surface.run("grid", "r")
    assert surface.state_of("grid/r") == "running"
    now = surface["grid/r"].versions()[-1].time
    monkeypatch.setattr("arraystore.classes.experiments.time.time_ns", lambda: now + int(301e9))
    assert surface.state_of("grid/r") == "abandoned"
    (root / "experiments" / "grid" / "r" / "_log" / "alive").write_bytes(str(now + int(10e9)).encode())
    assert surface.state_of("grid/r") == "running"
    (root / "experiments" / "grid" / "r" / "_log" / "alive").write_bytes(b"garbled")
    assert surface.state_of("grid/r") == "abandoned"


def test_a_number_given_to_another_process_is_not_the_one_that_began(monkeypatch: pytest.MonkeyPatch) -> None:
    me = liveness.this_process()
    assert not me.is_gone()
    assert liveness.Owner(me.host, me.process, me.machine, "1").is_gone()
    assert not liveness.Owner(me.host, me.process).is_gone(), "nothing is known of it"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        began = liveness.began(child.pid)
        assert began
        child.kill()
        while liveness.began(child.pid):
            pass  # a zombie, whose status nobody asked for yet
    assert liveness.began(2**22 + 1) == ""
