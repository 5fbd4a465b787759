"""Which libraries are there: contestants that aren't installed are left out, and named."""

import importlib.util


def installed(*libraries: str) -> bool:
    """Whether all of them are."""
    return all(importlib.util.find_spec(library) is not None for library in libraries)
