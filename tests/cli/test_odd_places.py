"""Stores, files and names as people have them: each is taken for what it is, or refused with what to do."""

import errno
from pathlib import Path
from typing import Any

import pytest

import arraystore
from arraystore.classes.surface import Surface
from arraystore.errors import StorageError

TRADES = "canonical/binance-usdm/trades/BTC=2FUSDT"


@pytest.mark.parametrize(
    "words",
    [
        ("head", TRADES),
        ("stats", TRADES),
        ("export-parquet", TRADES, "-o", "out.parquet"),
        ("export-hdf5", TRADES, "-o", "out.h5"),
        ("plot", "series", TRADES, "-o", "out.svg"),
    ],
)
def test_blanks_between_columns_are_nothing(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*words, "--columns", " price, size ")
    assert (done.exit_code, done.stderr) == (0, "")
    refused = run(*words, "--columns", "price, nonsense", "--overwrite") if "-o" in words else run(*words, "--columns", "price, nonsense")
    assert refused.exit_code == 2
    assert "nonsense" in refused.stderr


@pytest.mark.parametrize("words", [("ls",), ("init",), ("status",), ("verify",)])
def test_a_file_is_no_store_and_none_is_made_of_it(run: Any, tmp_path: Path, words: tuple[str, ...]) -> None:
    place = tmp_path / "file"
    place.write_text("mine")
    refused = run(*words, "--root", str(place))
    assert (refused.exit_code, refused.stderr) == (2, f"error: url: {place} is a file, and a store is a directory; give another path\n")
    assert place.read_text() == "mine"


@pytest.mark.parametrize(
    "words", [("plot", "coverage", "-o"), ("report", TRADES, "--html"), ("export-hdf5", TRADES, "-o"), ("export-parquet", TRADES, "-o")]
)
def test_the_remedy_for_a_file_that_is_there_is_an_option_of_the_command(run: Any, tmp_path: Path, words: tuple[str, ...]) -> None:
    place = tmp_path / ("page.html" if words[0] in ("plot", "report") else "file")
    place.write_text("mine")
    refused = run(*words, str(place))
    assert (refused.exit_code, "--overwrite" in refused.stderr) == (2, True)
    assert run(*words, str(place), "--overwrite").exit_code == 0


def test_what_nobody_may_has_a_remedy(run: Any) -> None:
    refused = run("rm", TRADES, "--reason", "tidy", "--yes", "--role", "data-quality")
    assert refused.exit_code == 4
    assert "allowed: nobody, because datasets of this class stay: withdraw windows" in refused.stderr


def test_a_class_that_this_user_may_not_read_is_not_told_as_damaged(run_json: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store = arraystore.open_store(tmp_path / "store", role="data-quality", create=True)

    def refuse(surface: Surface, *others: Any) -> Any:
        raise StorageError(errno.EACCES, f"reading '{surface.storage_class}' failed: Permission denied")

    monkeypatch.setattr(Surface, "logs", refuse)
    finding = store.verify().findings[0]
    assert finding.remedy.startswith("see to the medium or to this user's rights, then verify again")
    assert "run init" not in finding.remedy
