"""Datasets on disk and in memory for writers and followers."""

from tests.store.conftest import root, trades

__all__ = ["root", "trades"]
