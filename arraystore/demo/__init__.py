"""A user's code, as an example: every role on recorded or simulated market data. The store itself knows no venue."""

from arraystore.demo.result import DemoResult
from arraystore.demo.story import run_demo

__all__ = ["DemoResult", "run_demo"]
