"""`diff`, `withdraw`, `replace`, `rm`, holding, and the dry run of every command that changes something."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

import arraystore
from arraystore.cli import main
from tests.cli.conftest import build as build_looked_at
from tests.cli.test_reviews import build
from tests.store.conftest import rows

DAY, NEXT = "2024-08-08", "2024-08-09"
TRADES, OTHER, BARS = "canonical/venue/trades/Y", "canonical/venue/trades/Z", "derived/bars/1m/venue/Y"
HELD = "quarantine/venue/trades/X"
SECOND_DAY = arraystore.parse_time(NEXT)

type Run = Callable[..., Result]
type RunJson = Callable[..., Any]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with something for every command to change."""
    root = tmp_path_factory.mktemp("changing") / "store"
    build(root)
    quality = arraystore.open_store(root, role="data-quality")
    for address in (TRADES, OTHER):
        dataset = quality.canonical.create(address.partition("/")[2], arraystore.schema_by_name("trades"))
        for _ in range(2):
            dataset.append(rows(3_000), coverage=(DAY, NEXT))
        dataset.append(rows(5, SECOND_DAY), completeness="complete")
    pin = quality.canonical["venue/trades/Y"].pin(window=DAY)
    analysis = arraystore.open_store(root, role="analysis")
    bars = analysis.derived.create(BARS.partition("/")[2], arraystore.schema_by_name("bars", interval="1m"))
    bars.append(None, coverage=(DAY, NEXT), inputs=[pin])
    arraystore.export_hdf5(root.parent / "trades.h5", quality.canonical["venue/trades/Y"])
    (root.parent / "quotes.csv").write_text("time,bid,ask\n2024-08-08T00:00:00Z,1.0,1.5\n")
    mapping = '[schema]\nname = "quotes"\noptions = { clock = "exchange" }\n[columns]\ntime = { from = "time" }\n'
    mapping += 'bid_price = { from = "bid" }\nask_price = { from = "ask" }\nflags = { value = 0 }\n'
    (root.parent / "own.toml").write_text(mapping)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy of one's own."""
    return Path(shutil.copytree(made, tmp_path / "store"))


@pytest.fixture
def run(root: Path) -> Run:
    return lambda *args: CliRunner().invoke(main, [*args, "--root", str(root)], prog_name="arraystore")


@pytest.fixture
def run_json(run: Run) -> RunJson:
    def document(*args: str) -> Any:
        result = run(*args, "--json")
        assert (result.exit_code, result.stderr) == (0, ""), result.output
        return json.loads(result.stdout)

    return document


# --- dry runs ----------------------------------------------------------------------------------------------------

QUALITY, ANALYSIS = ("--role", "data-quality"), ("--role", "analysis")
#: Commands that only look at the store, if there are such.
LOOK = {
    "audit",
    "changes",
    "completion",
    "config",
    "coverage",
    "demo",
    "dependents",
    "diff",
    "doctor",
    "du",
    "export-hdf5",
    "export-parquet",
    "gaps",
    "head",
    "impact",
    "info",
    "lineage",
    "lint",
    "log",
    "ls",
    "manifest",
    "plot",
    "policy",
    "report",
    "resolve",
    "sample",
    "sessions",
    "stats",
    "status",
    "tail",
    "tree",
    "verify",
}
#: Those whose dry runs have tests of their own, where there is something to remove.
ELSEWHERE = {"pack", "gc", "expire", "purge"}
#: What changes something: as a role that may, and one that may not.
CHANGES: list[tuple[tuple[str, ...], str]] = [
    (("ingest", "{files}/quotes.csv", "--mapping", "{files}/own.toml", "--into", "canonical/venue/quotes/X", *QUALITY), "live"),
    (("ingest", "{files}/quotes.csv", "--mapping", "{files}/own.toml", "--into", "derived/q/1/venue/X", *ANALYSIS), "live"),
    (("import-hdf5", "{files}/trades.h5", "canonical/venue/trades/again", *QUALITY), "live"),
    (("withdraw", TRADES, DAY, NEXT, "--reason", "x", "--yes", *QUALITY), "analysis"),
    (("replace", TRADES, DAY, "--from", f"{TRADES}@2", "--reason", "x", "--yes", *QUALITY), "analysis"),
    (("replace", TRADES, NEXT, "--from", OTHER, "--reason", "x", "--yes", *QUALITY), "analysis"),
    (("rm", BARS, "--reason", "x", "--yes", *ANALYSIS), "live"),
    (("rm", "derived/*/*/*/*", "--reason", "x", "--yes", *ANALYSIS), "live"),
    (("rm", HELD, "--reason", "x", "--yes", *QUALITY), "backtesting"),
    (("tag", "release", TRADES, *QUALITY), "data-recording"),
    (("runs", "other/left", "--abandon", "lost", "--force", "--yes", "--role", "backtesting"), "analysis"),
    (("quarantine", TRADES, DAY, "--hold", "gap", "--failed-check", "ids", *QUALITY), "analysis"),
    (("quarantine", HELD, DAY, "--note", "asked", *QUALITY), "analysis"),
    (("quarantine", HELD, DAY, "--release", "canonical/venue/trades/X", *QUALITY), "analysis"),
    (("quarantine", HELD, DAY, "--reject", "--note", "no", "--yes", *QUALITY), "analysis"),
    (("compact", TRADES), "analysis"),
    (("copy", "--to", "{copy}"), "analysis"),
    (("repair", TRADES, "--from", "{copy}"), "analysis"),
]


def picture(root: Path) -> dict[str, tuple[int, bytes]]:
    """Every file and folder of a store, with its bytes and when it was changed."""
    return {
        str(path.relative_to(root)): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in sorted((root, *root.rglob("*")))
    }


def damage(root: Path) -> None:
    """Something to repair, and a whole copy to repair it from."""
    shutil.copytree(root, root.parent / "copy")
    (shard,) = (root / TRADES).glob(f"{NEXT}/*/price/0")
    shard.write_bytes(bytes([shard.read_bytes()[0] ^ 1]) + shard.read_bytes()[1:])


def filled(arguments: tuple[str, ...], made: Path, root: Path) -> list[str]:
    return [argument.replace("{files}", str(made.parent)).replace("{copy}", str(root.parent / "copy")) for argument in arguments]


@pytest.mark.parametrize(("arguments", "outsider"), CHANGES, ids=[f"{case[0][0]}-{number}" for number, case in enumerate(CHANGES)])
def test_a_dry_run_does_all_checks_and_changes_no_byte(run: Run, root: Path, made: Path, arguments: tuple[str, ...], outsider: str) -> None:
    command = filled(arguments, made, root)
    if command[0] == "repair":
        damage(root)
    before = picture(root.parent)
    dry = run(*command, "--dry-run", "--json")
    assert (dry.exit_code, dry.stderr) == (0, ""), dry.output
    assert json.loads(dry.stdout)["dry_run"] is True
    told = run(*command, "--dry-run")
    assert (told.exit_code, bool(told.stdout)) == (0, True)
    assert told.stderr == "dry run: nothing was changed\n"
    for dry_run in ((), ("--dry-run",)):
        refused = run(*command, "--role", outsider, *dry_run)
        assert (refused.exit_code, refused.stdout) == (4, ""), refused.output
    assert picture(root.parent) == before
    done = run(*command, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["dry_run"] is False
    assert picture(root.parent) != before


def test_a_dry_run_of_init_makes_nothing(tmp_path: Path) -> None:
    make = ["init", "--root", str(tmp_path / "new"), "--class-root", f"raw={tmp_path / 'tapes'}", "--json"]
    dry = CliRunner().invoke(main, [*make, "--dry-run"])
    assert (dry.exit_code, list(tmp_path.iterdir())) == (0, [])
    told, done = json.loads(dry.stdout), json.loads(CliRunner().invoke(main, make).stdout)
    assert (told["dry_run"], done["dry_run"], told["classes"] == done["classes"]) == (True, False, True)
    before = picture(tmp_path)
    assert json.loads(CliRunner().invoke(main, [*make, "--dry-run"]).stdout)["uuid"] == done["uuid"], "it exists, and stays as it is"
    moved = CliRunner().invoke(main, ["init", "--root", str(tmp_path / "new"), "--class-root", "raw=elsewhere", "--dry-run"])
    assert moved.exit_code == 2
    (tmp_path / "file").write_text("")
    assert CliRunner().invoke(main, ["init", "--root", str(tmp_path / "file" / "x"), "--dry-run"]).exit_code == 6
    (tmp_path / "file").unlink()
    assert picture(tmp_path).keys() == before.keys()


def test_every_command_that_changes_something_can_be_rehearsed() -> None:
    rehearsed = {case[0][0] for case in CHANGES} | {"init"}
    assert set(main.commands) - rehearsed - ELSEWHERE - LOOK == set(), "a new command belongs to LOOK, or to CHANGES with a dry run"
    for name, command in main.commands.items():
        names = {option.name for option in command.params if isinstance(option, click.Option)}
        assert ("dry_run" in names) == (name not in LOOK), name


# --- what they do ------------------------------------------------------------------------------------------------


def test_versions_are_compared(run: Run, run_json: RunJson) -> None:
    found = run_json("diff", TRADES, "2", "3")
    assert [(each["window"], each["change"], each["rows"]) for each in found["windows"]] == [(DAY, "changed", [3000, 6000])]
    assert [each["window"] for each in run_json("diff", TRADES, "3")["windows"]] == [NEXT], "the newest by default"
    shown = run("diff", TRADES, "2").stdout
    for words in (f"{TRADES} version 2", "3,000", "6,000", "added"):
        assert words in shown
    assert run("diff", TRADES, "3", "3").stdout.endswith("\nnothing differs\n")
    assert run("diff", TRADES, "9").exit_code == 3
    assert run("diff", TRADES, "later").exit_code == 2


def test_datasets_are_compared(run: Run, run_json: RunJson) -> None:
    assert run_json("diff", TRADES, OTHER)["windows"] == []
    (found,) = run_json("diff", f"{TRADES}@2", f"{OTHER}@3")["windows"]
    assert found["rows"] == [3000, 6000]
    assert run("diff", TRADES, OTHER, "3").exit_code == 2
    assert run("diff", f"{TRADES}@", OTHER).exit_code == 2
    assert run("diff", TRADES, "canonical/venue/trades/none").exit_code == 3


def test_a_bad_day_is_held_withdrawn_and_put_back(run: Run, run_json: RunJson, root: Path) -> None:
    held = run_json("quarantine", TRADES, DAY, "--hold", "stale-feed", "--failed-check", "age", "--failed-check", "gap", *QUALITY)
    assert (held["state"], held["reason"], held["failed_checks"], held["rows"]) == ("held", "stale-feed", ["age", "gap"], 6000)
    assert (held["dataset"], held["source"]) == ("quarantine/venue/trades/Y", f"{TRADES} version 4")
    assert run("quarantine", "quarantine/venue/trades/Y", DAY, "--hold", "x", *QUALITY).exit_code == 2
    gone = run_json("withdraw", TRADES, DAY, "--reason", "stale", "--yes", *QUALITY)["windows"]
    assert gone == [{"window": DAY, "version": 5, "rows": 0, "stale": 2}], "the bars, and what is held"
    again = run_json("replace", TRADES, DAY, "--from", f"{TRADES}@2", "--reason", "the first half was right", "--yes", *QUALITY)["windows"]
    assert [(each["version"], each["rows"]) for each in again] == [(6, 3000)]
    dataset = arraystore.open_store(root, role="analysis").canonical["venue/trades/Y"]
    manifest = dataset.manifest(DAY)
    assert (manifest.rows, manifest.coverage, manifest.completeness) == (3000, dataset.at(2).manifest(DAY).coverage, "open")
    assert [pin.version for pin in manifest.lineage] == [2]
    assert run("impact", TRADES).stdout.count(BARS) == 1


def test_windows_that_are_not_there_stop_all_of_them(run: Run, root: Path) -> None:
    before = picture(root)
    result = run("withdraw", TRADES, DAY, "2024-08-10", "--reason", "x", *QUALITY)
    assert (result.exit_code, "2024-08-10" in result.stderr) == (3, True)
    assert run("replace", TRADES, "2024-08-10", "--from", OTHER, "--reason", "x", *QUALITY).exit_code == 3
    assert run("replace", TRADES, DAY, "--from", BARS, "--reason", "x", *QUALITY).exit_code == 4
    assert run("withdraw", TRADES, DAY, "--reason", "", *QUALITY).exit_code == 2
    assert run("withdraw", TRADES, DAY, *QUALITY).exit_code == 2
    assert picture(root) == before


@pytest.mark.parametrize(
    "words",
    [
        ("withdraw", TRADES, DAY, "--reason", "x"),
        ("replace", TRADES, DAY, "--from", f"{TRADES}@2", "--reason", "x"),
    ],
)
def test_what_cannot_simply_be_undone_wants_a_word(
    run: Run, run_json: RunJson, root: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    before = run_json("info", TRADES)["version"]
    result = run(*words, *QUALITY)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "look with --dry-run, then pass --yes" in result.stderr
    monkeypatch.setattr("arraystore.cli.command.sys", SimpleNamespace(stdin=Terminal(), stderr=Terminal(), exit=sys.exit))
    answered = CliRunner().invoke(main, [*words, *QUALITY], input="n\n", env={"ARRAYSTORE_ROOT": str(root)})
    assert answered.exit_code == 130
    assert "do it? [y/N]" in answered.stderr
    assert run_json("info", TRADES)["version"] == before


class Terminal:
    """Something that says that somebody is there."""

    def isatty(self) -> bool:
        return True


def test_datasets_are_deleted_once_it_is_said_twice(run: Run, run_json: RunJson, root: Path) -> None:
    remove = ("rm", "derived/bars/*/venue/?", "--reason", "made anew", *ANALYSIS)
    refused = run(*remove)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert all(words in refused.stderr for words in ("1 dataset would be deleted", BARS, "--dry-run", "--yes"))
    (told,) = run_json(*remove, "--dry-run")["datasets"]
    assert (told["dataset"], told["windows"], told["dependents"]) == (BARS, 1, 0)
    assert "1 dataset deleted" in run(*remove, "--yes").stdout
    gone = run("info", BARS)
    assert (gone.exit_code, "made anew" in gone.stderr) == (3, True)
    assert run(*remove, "--yes").exit_code == 3, "nothing matches any more"
    assert arraystore.open_store(root, role="analysis").derived.find() == []


@pytest.mark.parametrize("pattern", ["derived", "derived/bars", "derived/*", "derived/*/*/*/*/*", "*/*/*/*/*", "nowhere/a/b/c"])
def test_what_names_no_whole_key_deletes_nothing(run: Run, root: Path, pattern: str) -> None:
    before = picture(root)
    result = run("rm", pattern, "--reason", "x", "--yes", *ANALYSIS)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert picture(root) == before


def test_if_one_may_not_be_deleted_none_is(run: Run, root: Path) -> None:
    before = picture(root)
    assert run("rm", BARS, TRADES, "--reason", "x", "--yes", *ANALYSIS).exit_code == 4
    assert picture(root) == before


# --- lint --------------------------------------------------------------------------------------------------------


def test_lint_of_a_clean_store_is_silent(tmp_path: Path) -> None:
    build_looked_at(tmp_path / "store")
    result = CliRunner().invoke(main, ["lint", "--root", str(tmp_path / "store")])
    assert (result.exit_code, result.stdout) == (0, "0 errors, 0 warnings, 0 advice\n")


def test_lint_explains_and_its_exit_code_tells_of_errors(run: Run, run_json: RunJson, root: Path) -> None:
    (root / "canonical" / "notes").write_text("?")
    found = {(each["rule"], each["severity"], each["place"]) for each in run_json("lint", "canonical")["deviations"]}
    advice = {("unfinished", "advice", f"{dataset}/{DAY}") for dataset in (TRADES, OTHER)}
    assert found == {("stray", "warning", "canonical/notes"), *advice}
    assert [each["rule"] for each in run_json("lint", TRADES, "raw")["deviations"]] == ["unfinished"]
    assert run_json("lint", "canonical/*/trades")["counts"] == {"error": 0, "warning": 0, "advice": 2}
    assert run_json("lint")["counts"]["warning"] == 1
    shown = run("lint", "canonical")
    assert shown.exit_code == 0
    assert all(f"\n  {word}" in shown.stdout for word in ("why", "do"))
    (segment,) = (root / TRADES).glob(f"{NEXT}/*-*/price/zarr.json")
    segment.write_text("{")
    broken = run("lint", TRADES)
    assert broken.exit_code == 1
    assert "error metadata: wanted" in broken.stdout
    assert run("lint", "canonical/venue/trades/none").exit_code == 3
    assert run("lint", "raw", "--role", "live").exit_code == 4


def test_lint_looks_at_any_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("raw", "bars"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "zarr.json").write_text('{"zarr_format": 2}')
    monkeypatch.chdir(tmp_path)
    for arguments in (["bars"], ["./raw"], [str(tmp_path / "bars"), "raw"]):
        result = CliRunner().invoke(main, ["lint", *arguments, "--json"])
        assert (result.exit_code, {each["rule"] for each in json.loads(result.stdout)["deviations"]}) == (1, {"metadata"})
    assert CliRunner().invoke(main, ["lint"]).exit_code == 2
    assert CliRunner().invoke(main, ["lint", "nothing"]).exit_code == 3


def test_lint_shows_a_few_places_of_each_rule_or_all(tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / "g" / f"a{number}").mkdir(parents=True)
        (tmp_path / "g" / f"a{number}" / "zarr.json").write_text("[]")
    (tmp_path / "g" / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group"}')
    shown = CliRunner().invoke(main, ["lint", str(tmp_path / "g")]).stdout
    assert shown.count("g/a") == 5
    assert "… and 4 more places (--all shows them)" in shown
    assert CliRunner().invoke(main, ["lint", str(tmp_path / "g"), "--all"]).stdout.count("g/a") == 9
