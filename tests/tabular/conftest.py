"""Three days of every kind of column, on disk, and a meter of what is read of them."""

from tests.labelled.conftest import filled, metering, root

__all__ = ["filled", "metering", "root"]
