"""The notebooks under docs/ run from beginning to end, and what is kept of their outputs is small and tells of no machine."""

import json
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
NOTEBOOKS = sorted(DOCS.glob("*.ipynb"))
KIB = 1024


def test_there_are_notebooks():
    assert [path.stem for path in NOTEBOOKS] == ["backtest", "exploring"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_small_was_run_and_has_a_plot(path):
    assert path.stat().st_size < 300 * KIB
    cells = json.loads(path.read_text("utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 1


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore")  # Jupyter's own
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_beginning_to_end(path, monkeypatch, tmp_path):
    nbformat, client = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    notebook = nbformat.read(path, as_version=4)
    client.NotebookClient(notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(DOCS)}}).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in shown) == 1


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore")  # Jupyter's own
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_where_there_are_no_recordings(path, monkeypatch, tmp_path):
    nbformat, client = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    from arraystore.demo.simulator import simulate_captures

    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    simulate_captures(tmp_path, messages=20_000)
    monkeypatch.setenv("ARRAYSTORE_CAPTURES", str(tmp_path))
    notebook = nbformat.read(path, as_version=4)
    client.NotebookClient(notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(DOCS)}}).execute()
