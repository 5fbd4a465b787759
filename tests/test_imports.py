"""What `import arraystore` loads: not the libraries of borders and codecs, nor what few need."""

import json
import subprocess
import sys

import pytest

import arraystore

HEAVY = ("numcodecs", "pcodec", "zarr", "xarray", "dask", "h5py", "pandas", "pyarrow", "polars", "obstore", "rich", "click", "matplotlib")
SELDOM = ("numpy.ma", "asyncio", "difflib", "html", "tomllib", "csv")
OURS = ("experiments", "execution", "quarantine", "ingest.loading", "ingest.tables", "labelled", "cli", "demo", "testing")


def loaded_by(code: str) -> set[str]:
    told = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport json, sys\nprint(json.dumps(list(sys.modules)))"], check=True, capture_output=True
    )
    return set(json.loads(told.stdout))


def test_importing_loads_no_library_that_a_border_or_a_codec_needs() -> None:
    besides = loaded_by("import numpy, msgspec, google_crc32c, concurrent.futures.thread")
    modules = loaded_by("import arraystore") - besides
    unwanted = {*HEAVY, *SELDOM, *(f"arraystore.{name}" for name in OURS)} & modules
    assert not unwanted, "load it where it is used"


def test_opening_and_finding_loads_none_either() -> None:
    code = "import arraystore\ns = arraystore.open_store('memory://x', role='analysis', create=True)\ns.canonical.find()"
    assert not {*HEAVY, "numpy.ma"} & loaded_by(code)


def test_every_public_name_is_there_whichever_part_was_loaded_first() -> None:
    code = "import arraystore.ingest.loading, arraystore.cli, arraystore\nassert callable(arraystore.ingest) and callable(arraystore.lint)"
    assert all(getattr(arraystore, name) is not None for name in arraystore.__all__)
    assert set(arraystore.__all__) <= set(dir(arraystore))
    loaded_by(code)
    with pytest.raises(AttributeError, match="nonsense"):
        arraystore.nonsense  # noqa: B018
