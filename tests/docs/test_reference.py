"""The pages of docs/reference run as they stand, and leave no public function without an example."""

import doctest
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType

import pytest

import arraystore
import layouts
from tests.conftest import PROJECT

PAGES = sorted((PROJECT / "docs" / "reference").glob("*.md"))

# Methods that other packages of arraystore call, and users have no use for.
PLUMBING = {
    "Adding.commit",
    "DatasetView.side",
    "Surface.lock",
    "Surface.log_at",
    "Surface.log_of",
    "Surface.logs",
}


@contextmanager
def watched(codes: list[CodeType]) -> Iterator[set[CodeType]]:
    """Which of these functions an example calls itself, meanwhile."""
    called: set[CodeType] = set()
    tool = next(number for number in range(6) if sys.monitoring.get_tool(number) is None)
    events = sys.monitoring.events

    def enter(code: CodeType, _: int) -> object:
        caller = sys._getframe(1).f_back
        if caller is None or not caller.f_code.co_filename.startswith("<doctest"):
            return None
        called.add(code)
        return sys.monitoring.DISABLE

    sys.monitoring.use_tool_id(tool, "examples")
    try:
        sys.monitoring.register_callback(tool, events.PY_START, enter)
        for code in codes:
            sys.monitoring.set_local_events(tool, code, events.PY_START)
        yield called
    finally:
        for code in codes:
            sys.monitoring.set_local_events(tool, code, events.NO_EVENTS)
        sys.monitoring.free_tool_id(tool)


def public_functions() -> Iterator[tuple[str, CodeType, str]]:
    """Name, code and docstring of each public function, and of each method of a public class."""
    for module in (arraystore, layouts):
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isfunction(value):
                yield name, inspect.unwrap(value).__code__, value.__doc__ or ""
            elif inspect.isclass(value):
                for method, function in inspect.getmembers(value):
                    if not method.startswith("_") and (inspect.isfunction(function) or inspect.ismethod(function)):
                        plain = inspect.unwrap(function)
                        if plain.__module__.partition(".")[0] in ("arraystore", "layouts"):
                            yield plain.__qualname__, plain.__code__, plain.__doc__ or ""


@pytest.mark.filterwarnings("ignore:Timestamp.utcnow")  # NautilusTrader calls it
def test_the_pages_run_and_every_public_function_has_an_example():
    functions = list(public_functions())
    assert PAGES
    with watched([code for _, code, _ in functions]) as called:
        for page in PAGES:
            failed, tried = doctest.testfile(str(page), module_relative=False, optionflags=doctest.ELLIPSIS)
            assert tried, f"{page.name} has no examples"
            assert not failed, f"{page.name}: {failed} of {tried} examples don't give what it says; pytest shows them above"
    without = {name for name, code, told in functions if code not in called and ">>>" not in told and name not in PLUMBING}
    assert not without, f"put an example of these into docs/reference, or into their docstrings: {sorted(without)}"


def test_plumbing_is_there():
    assert {name for name, *_ in public_functions()} >= PLUMBING
