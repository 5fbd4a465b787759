"""Measurements beside peers and physical limits: `uv run python -m benchmarks`."""
