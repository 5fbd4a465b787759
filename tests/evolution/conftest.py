"""A store in memory, for what is the same on every storage, and one on disk."""

import uuid

import pytest

import arraystore
from tests.store.conftest import OpenAs, root

__all__ = ["open_as", "root"]


@pytest.fixture
def open_as() -> OpenAs:
    """One store in memory: what is tested here is the same on every storage."""
    url = f"memory://{uuid.uuid4().hex}"
    return lambda role: arraystore.open_store(url, role=role, create=True)
