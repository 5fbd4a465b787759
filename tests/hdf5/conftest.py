"""A store in memory, and datasets of generated rows in it."""

import uuid

import pytest

import arraystore
from arraystore.testing import generate
from layouts import schema_by_name


@pytest.fixture
def store():
    return arraystore.open_store(f"memory://{uuid.uuid4().hex}", role="data-quality", create=True)


@pytest.fixture
def dataset_of(store):
    """Makes a dataset of a shipped schema and appends generated rows to it."""

    def make(name, rows=3_000, *, key=None, seed=1, **options):
        everything = "_all" if options.get("all_instruments") else "BTCUSDT"
        dataset = store.canonical.create(key or ("venue", name, everything), schema_by_name(name, **options))
        dataset.append(generate(name, rows, seed=seed, **options))
        return dataset

    return make
