"""Who may do what: every cell of the matrix, before any I/O."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import arraystore
from arraystore.storage import open_storage
from tests.store.conftest import rows

ROLES = tuple(arraystore.Role)
KEYS: dict[str, tuple[str, ...]] = {
    "raw": ("venue", "feed", "recorder"),
    "canonical": ("venue", "feed", "X"),
    "derived": ("bars", "1m", "venue", "X"),
    "quarantine": ("venue", "feed", "X"),
    "experiments": ("experiment", "run"),
    "execution-records": ("live", "session", "fills"),
}
# The matrix once more, by hand from the design page, so that a slip in the table shows.
WRITERS = {
    "raw": {"data-recording"},
    "canonical": {"data-quality"},
    "derived": {"analysis", "backtesting"},
    "quarantine": {"data-quality"},
    "experiments": {"backtesting"},
    "execution-records": {"live"},
}
READERS = {
    "raw": {"data-recording", "data-quality", "operations"},
    "canonical": {"data-quality", "backtesting", "analysis", "live", "operations"},
    "derived": {"analysis", "backtesting", "live", "operations"},
    "quarantine": {"data-quality", "operations"},
    "experiments": {"backtesting", "analysis", "operations"},
    "execution-records": {"live", "analysis", "operations"},
}
CELLS = list(itertools.product(KEYS, ROLES))


class Counting:
    """An opener whose storages count what is asked of them."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __call__(self, url: str, /, *, create: bool = False) -> Any:
        storage, calls = open_storage(url, create=create), self.calls

        class Watched:
            def __getattr__(self, name: str) -> Any:
                found = getattr(storage, name)
                if not callable(found) or name == "probe":
                    return found

                def counted(*args: Any, **options: Any) -> Any:
                    calls.append(f"{name} {args[:1]}")
                    return found(*args, **options)

                return counted

        return Watched()


@pytest.fixture
def filled(root: Path) -> Path:
    """A store with one dataset in every class."""
    schema = arraystore.schema_by_name("trades")
    for name, key in KEYS.items():
        role = min(WRITERS[name])
        dataset = arraystore.open_store(root, role=role).surface(name).create(key, schema)
        dataset.append(rows(3))
    return root


def refusals(surface: arraystore.Surface, key: tuple[str, ...]) -> list[Callable[[], object]]:
    return [lambda: surface[key], surface.find, surface.changes, lambda: list(surface), lambda: key in surface]


@pytest.mark.parametrize(("name", "role"), CELLS)
def test_reading_is_allowed_or_refused_as_the_matrix_says(filled: Path, name: str, role: str) -> None:
    opener = Counting()
    store = arraystore.open_store(filled, role=role, opener=opener)
    surface, key = store.surface(name), KEYS[name]
    if role in READERS[name]:
        assert surface.find() == [key]
        assert surface[key].read().rows.count == 3
        assert len(surface.changes()) == 2
        return
    opener.calls.clear()
    # Backtests have records of their own, under another first key part: they may list the class, and find none of these.
    own_elsewhere = (name, role) == ("execution-records", "backtesting")
    for call in [lambda: surface[key], lambda: key in surface] if own_elsewhere else refusals(surface, key):
        with pytest.raises(arraystore.AccessDenied) as refusal:
            call()
        assert isinstance(refusal.value, PermissionError)
        assert role in str(refusal.value)
        assert name in str(refusal.value)
        assert all(other in str(refusal.value) for other in WRITERS[name]), "it says who may"
    assert opener.calls == [], "refused before any I/O"


@pytest.mark.parametrize(("name", "role"), CELLS)
def test_writing_is_allowed_or_refused_as_the_matrix_says(filled: Path, name: str, role: str) -> None:
    opener = Counting()
    store = arraystore.open_store(filled, role=role, opener=opener)
    surface, key = store.surface(name), KEYS[name]
    other = (*key[:-1], "another")
    if role in WRITERS[name]:
        surface[key].append(rows(1, first=3))
        assert surface.create(other, arraystore.schema_by_name("trades")).version == 1
        return
    opener.calls.clear()
    with pytest.raises(arraystore.AccessDenied, match=role):
        surface.create(other, arraystore.schema_by_name("trades"))
    assert opener.calls == []
    if role in READERS[name]:
        dataset = surface[key]
        opener.calls.clear()
        for call in (
            lambda: dataset.append(rows(1, first=3)),
            lambda: dataset.add_file(b"x", "x"),
            lambda: dataset.update(attributes={"a": 1}),
        ):
            with pytest.raises(arraystore.AccessDenied, match="may not write"):
                call()
        assert opener.calls == []


@pytest.mark.parametrize("name", sorted(KEYS))
def test_only_classes_that_know_corrections_can_be_corrected(filled: Path, name: str) -> None:
    dataset = arraystore.open_store(filled, role=min(WRITERS[name])).surface(name)[KEYS[name]]
    if name in {"canonical", "derived", "quarantine"}:
        assert dataset.replace("2024-08-08", rows(1), reason="a test").version == 3
    else:
        with pytest.raises(arraystore.AccessDenied, match="replace"):
            dataset.replace("2024-08-08", rows(1), reason="a test")


def test_backtests_and_live_trading_keep_to_their_own_records(filled: Path) -> None:
    live, backtest = (arraystore.open_store(filled, role=role).execution_records for role in ("live", "backtesting"))
    with pytest.raises(arraystore.AccessDenied):
        backtest.session("live", "session")
    with pytest.raises(arraystore.AccessDenied):
        backtest["live/session/fills"]
    with pytest.raises(arraystore.AccessDenied):
        live.session("backtest", "session")
    assert backtest.find() == []
    assert live.find() == [("live", "session", "fills")]


@pytest.mark.parametrize(
    "name",
    [
        "../raw/venue/feed/recorder",
        "..=2Fraw/feed/recorder",
        "=2E=2E/raw/x",
        "venue/../../raw",
        "venue/feed/..",
        "/etc/passwd/x",
        "venue//feed",
        "venue/feed/%2e%2e",
        "venue/feed/a\\b",
        "venue/feed/X\0",
        "",
        "venue/feed/=zz",
        "venue/feed/_log",
        "venue/feed/zarr.json",
    ],
)
def test_no_text_leads_out_of_a_surface(filled: Path, name: str) -> None:
    surface = arraystore.open_store(filled, role="analysis").canonical
    with pytest.raises((arraystore.InvalidInput, arraystore.NotFound)):
        surface[name]


def test_no_tuple_leads_out_of_a_surface(filled: Path) -> None:
    surface = arraystore.open_store(filled, role="analysis").canonical
    for key in [("..", "raw", "x"), ("..", "..", "raw"), ("venue/feed", "x", "y"), ("venue", "feed", "../../raw/venue"), ("", "", "")]:
        with pytest.raises((arraystore.InvalidInput, arraystore.NotFound)):
            surface[key]


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_links_planted_in_a_class_lead_nowhere(filled: Path, depth: int) -> None:
    """A link to a raw dataset, planted at each level of canonical, is neither listed nor followed."""
    parts = ["venue", "feed"]
    source = filled / "raw" / "venue" / "feed" / "recorder"
    place = filled / "canonical"
    if depth == 3:
        window = filled / "canonical" / "venue" / "feed" / "X" / "2024-08-08"
        assert not window.exists(), "three rows are a tail"
        (window.parent / "_checkpoints").symlink_to(filled / "raw" / "venue" / "feed" / "recorder" / "_log")
        assert arraystore.open_store(filled, role="analysis").canonical["venue/feed/X"].read().rows.count == 3
        return
    for part in parts[: 2 - depth]:
        place = place / part
    for _ in range(depth):
        source = source.parent
    (place / "stolen").symlink_to(source)
    surface = arraystore.open_store(filled, role="analysis").canonical
    assert surface.find() == [("venue", "feed", "X")]
    for key in [("stolen", "feed", "recorder"), ("venue", "stolen", "recorder"), ("venue", "feed", "stolen")]:
        with pytest.raises((arraystore.NotFound, arraystore.StorageError, arraystore.Corrupt)):
            surface[key]


def test_a_class_root_that_was_redirected_is_refused(filled: Path) -> None:
    (filled / "canonical").rename(filled / "elsewhere")
    (filled / "canonical").symlink_to(filled / "raw")
    with pytest.raises((arraystore.Corrupt, arraystore.StorageError)):
        arraystore.open_store(filled, role="analysis").canonical.find()
