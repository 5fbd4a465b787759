"""Stores to attack, and a digest of everything below a directory, so that a refusal can be shown to leave nothing behind."""

import hashlib
from pathlib import Path

from tests.store.conftest import open_as, root, trades

__all__ = ["open_as", "root", "trades", "tree"]

PASSING = {"lock", "_lock", "alive"}  # empty files that queue writers, and the sign of life that a run gives every half minute


def tree(root: Path) -> str:
    """A digest of every name, type and byte below a directory, but for locks and signs of life."""
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path.name not in PASSING:
            digest.update(f"{path.relative_to(root)}\0{path.lstat().st_mode}\0".encode())
            if path.is_file():
                digest.update(path.read_bytes())
    return digest.hexdigest()
