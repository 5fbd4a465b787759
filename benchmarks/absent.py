"""Which peers aren't there, by the names that people know."""

from benchmarks.tables.installed import installed

PEERS = {
    "PyArrow": ("pyarrow",),
    "Polars": ("polars",),
    "DuckDB": ("duckdb",),
    "Vortex": ("vortex",),
    "Lance": ("lance",),
    "ArcticDB": ("arcticdb",),
    "Icechunk": ("icechunk",),
    "zarrs": ("zarrs",),
    "TensorStore": ("tensorstore",),
    "Blosc for HDF5": ("hdf5plugin",),
    "pandas' HDFStore": ("pandas", "tables"),
    "NautilusTrader": ("nautilus_trader",),
}


def absent() -> list[str]:
    """Peers that are left out."""
    return [name for name, libraries in PEERS.items() if not installed(*libraries)]
