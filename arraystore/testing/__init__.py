"""What tests of the store, and of code that stands on it, are made of: generated data, and strategies, which need hypothesis."""

from arraystore.testing.generators import generate

__all__ = ["generate"]
