"""Files of quotes as vendors might send them, and a store to take them."""

import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import arraystore

INTO = "canonical/venue/quotes/X"
DAY = "2024-08-08"
HEADER = "time,bid,ask\n"

type Load = Callable[..., arraystore.IngestReport]


def mapping(file: dict[str, Any] | None = None, schema: Any = None, **columns: Any) -> dict[str, Any]:
    """Quotes of time (ISO), bid and ask, or what a test wants instead; None leaves a column out."""
    usual = {
        "time": {"from": "time", "unit": "iso"},
        "bid_price": {"from": "bid"},
        "ask_price": {"from": "ask"},
        "flags": {"value": 0},
    }
    return {
        "schema": schema or {"name": "quotes", "options": {"clock": "exchange"}},
        "file": file or {},
        "columns": {name: spec for name, spec in (usual | columns).items() if spec is not None},
    }


def lines(count: int, first: int = 0) -> str:
    """Quotes a second apart."""
    return "".join(
        f"{DAY}T{n // 3600:02d}:{n // 60 % 60:02d}:{n % 60:02d},{100 + n / 4},{100.5 + n / 4}\n" for n in range(first, first + count)
    )


def written(path: Path, text: str | bytes) -> Path:
    """A file of this content; compressed as its name says (a zip has one member, of the same name)."""
    data = text.encode() if isinstance(text, str) else text
    match path.suffix:
        case ".gz":
            path.write_bytes(gzip.compress(data, mtime=0))
        case ".zip":
            zipped(path, {f"{path.stem}.csv": data})
        case _:
            path.write_bytes(data)
    return path


def zipped(path: Path, members: dict[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return path


@pytest.fixture
def store(tmp_path: Path) -> arraystore.Store:
    """An empty store on disk, as data quality sees it."""
    return arraystore.open_store(tmp_path / "store", role="data-quality", create=True)


@pytest.fixture
def load(store: arraystore.Store) -> Load:
    """Ingest files into the one dataset."""

    def ingested(*files: Path, mapping: Any, into: str | None = INTO, **options: Any) -> arraystore.IngestReport:
        return arraystore.ingest(store, files, mapping=mapping, into=into, **options)

    return ingested


@pytest.fixture
def loaded(store: arraystore.Store, load: Load) -> Callable[..., arraystore.Frame]:
    """Ingest files, and read back everything."""

    def frame(*files: Path, mapping: Any, **options: Any) -> arraystore.Frame:
        load(*files, mapping=mapping, **options)
        return store.canonical[INTO.removeprefix("canonical/")].read()

    return frame
