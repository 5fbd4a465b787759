"""The package as a whole: its public names, and that it is cheap and does no I/O."""

import subprocess
import sys

import layouts


def test_every_public_name_is_there_once():
    assert len(set(layouts.__all__)) == len(layouts.__all__)
    assert [name for name in layouts.__all__ if not hasattr(layouts, name)] == []


def test_importing_it_loads_nothing_but_numpy_and_msgspec():
    script = "import sys, numpy, msgspec; before = set(sys.modules); import layouts; print(*(set(sys.modules) - before))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in result.stdout.split()}
    assert "layouts" in loaded
    assert loaded - {"layouts"} - set(sys.stdlib_module_names) == set()
