"""Fills and orders that a session has yet to number."""

from pathlib import Path
from typing import Any

import numpy as np

import arraystore
from tests.store.conftest import START, root

__all__ = ["fills", "root", "session", "told"]


def fills(*names: str | tuple[str, str, float], start: int = START, **columns: Any) -> dict[str, Any]:
    """Fills of these names, of size 1 and one a second; `(name, ref, size)` refers to another one."""
    told = [(name, "", 1.0) if isinstance(name, str) else name for name in names]
    count = len(told)
    return {
        "time": start + np.arange(count) * 10**9,
        "account": ["main"] * count,
        "strategy": ["test"] * count,
        "instrument": ["BTCUSDT"] * count,
        "fill_id": [name for name, _, _ in told],
        "ref_fill_id": [ref or None for _, ref, _ in told],
        "side": ["buy"] * count,
        "price": np.full(count, 1.5),
        "size": [size for _, _, size in told],
        **columns,
    }


def session(root: Path, session_id: str = "s", role: str = "live", kind: str = "live") -> arraystore.Session:
    """A session, opened anew as another process would."""
    return arraystore.open_store(root, role=role).execution_records.session(kind, session_id)


def told(found: arraystore.Reconciliation) -> list[str]:
    """The numbers of the fills that stand."""
    return list(found.effective["fill_id"])
