"""The stores that the tests of datasets have."""

from tests.store.conftest import open_as, root

__all__ = ["open_as", "root"]
