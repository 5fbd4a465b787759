"""The same stores as for the tests of datasets."""

from tests.store.conftest import root

__all__ = ["root"]
