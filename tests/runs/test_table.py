"""All runs of an experiment as one table, in every library's form."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import arraystore
from tests.runs.conftest import experiments


@pytest.fixture
def grid(root: Path) -> arraystore.ExperimentsSurface:
    """Six finished runs over width and skew, one that failed, one under way."""
    surface = experiments(root)
    for width in (3, 1, 2):
        for skew in ("a", "b"):
            with surface.run("grid", f"w{width}{skew}", params={"width": width, "skew": skew, "model": {"depth": width * 2}}) as run:
                run.log(sharpe=width + (skew == "b") / 2, **({"worst": -np.inf} if width == 1 else {}))
    with pytest.raises(ZeroDivisionError), surface.run("grid", "wrong", params={"width": 9.5, "odd": [1, 2], "mixed": 1}):
        _ = 1 / 0
    surface.run("grid", "x-under-way", params={"mixed": "text", "flag": True})
    return surface


def test_the_table_has_parameters_metrics_and_states(grid: arraystore.ExperimentsSurface) -> None:
    table = grid["grid"].runs()
    assert [row.run for row in table] == ["w1a", "w1b", "w2a", "w2b", "w3a", "w3b", "wrong", "x-under-way"]
    assert table.states() == {"finished": 6, "failed": 1, "running": 1}
    assert (table[0].metrics, table[0].params["model"]) == ({"sharpe": 1.0, "worst": -np.inf}, {"depth": 2})
    assert table[6].error == "ZeroDivisionError: division by zero"
    assert len(table[2:4]) == 2
    assert [row.run for row in grid["grid"].runs(state="failed")] == ["wrong"]
    assert repr(table) == "<RunTable grid: 8 runs (1 failed, 6 finished, 1 running)>"
    with pytest.raises(arraystore.InvalidInput, match="odd"):
        grid["grid"].runs(state="odd")


def test_the_table_goes_to_pandas_polars_and_arrow(grid: arraystore.ExperimentsSurface) -> None:
    table = grid["grid"].runs()
    frame = table.to_pandas()
    assert list(frame.columns[:7]) == ["run", "state", "attempt", "started", "ended", "error", "note"]
    assert frame["params.width"].tolist()[:2] == [1.0, 1.0]
    assert frame.loc[6, "params.odd"] == "[1,2]"
    assert frame["params.mixed"].tolist()[6:] == ["1", "text"]
    assert frame["params.model.depth"].max() == 6
    assert str(frame["started"].dtype) == "datetime64[ns, UTC]"
    assert frame["ended"].isna().tolist() == [False] * 7 + [True]
    polars = table.to_polars()
    best = polars.filter(pl.col("state") == "finished").sort("metrics.sharpe", descending=True)
    assert best["run"][0] == "w3b"
    assert table.to_arrow().schema.field("started").type.tz == "UTC"
    assert grid["grid"].runs(state="abandoned").to_pandas().empty


def test_the_table_is_a_grid_over_parameters(grid: arraystore.ExperimentsSurface) -> None:
    table = grid["grid"].runs()
    over = table.to_xarray(["width", "skew"], ["sharpe"])
    assert dict(over.sizes) == {"width": 3, "skew": 2}
    assert over["width"].values.tolist() == [1, 2, 3]
    assert over["sharpe"].sel(skew="b").values.tolist() == [1.5, 2.5, 3.5]
    assert over["run"].sel(width=2, skew="a").item() == "w2a"
    every = table.to_xarray(["width", "skew"])
    assert set(every.data_vars) == {"run", "sharpe", "worst"}
    assert np.isnan(every["worst"].sel(width=2)).all()
    assert dict(table.to_xarray(["model.depth", "skew"]).sizes) == {"model.depth": 3, "skew": 2}


@pytest.mark.parametrize(
    ("dims", "values", "words"),
    [
        (["width"], None, "both have width=1"),
        ([], None, "name parameters"),
        (["width", "width"], None, "each once"),
        (["width", "height"], None, "hasn't it"),
        (["width", "skew"], ["sortino"], "there are sharpe, worst"),
    ],
)
def test_what_is_no_grid_is_refused(grid: arraystore.ExperimentsSurface, dims: list[str], values: list[str] | None, words: str) -> None:
    with pytest.raises(arraystore.InvalidInput, match=words):
        grid["grid"].runs().to_xarray(dims, values)


def test_names_of_parameters_that_would_collide_stay_apart(root: Path) -> None:
    with experiments(root).run("grid", "r", params={"a.b": 1, "a": {"b": 2}}):
        pass
    columns = experiments(root)["grid"].runs().columns()
    assert columns["params.a.b"] == [1]
    assert columns["params.a"] == [{"b": 2}]


def test_a_table_read_again_reads_only_what_changed(grid: arraystore.ExperimentsSurface, monkeypatch: pytest.MonkeyPatch) -> None:
    first = grid["grid"].runs()
    read = []
    for name in ("get", "get_ranges", "iter_ranges"):
        told = getattr(type(grid._storage), name)
        monkeypatch.setattr(type(grid._storage), name, lambda self, key, *rest, told=told: read.append(key) or told(self, key, *rest))
    assert [row.run for row in grid["grid"].runs()] == [row.run for row in first]
    assert read == []
    with grid.run("grid", "new") as run:
        run.log(sharpe=9.0)
    read.clear()
    assert grid["grid"].runs()[0].metrics == {"sharpe": 9.0}
    assert {key.split("/")[1] for key in read} == {"new"}


def test_an_experiment_without_runs_is_not_found(root: Path) -> None:
    with pytest.raises(arraystore.NotFound, match="no such experiment"):
        experiments(root)["none"]
    with pytest.raises(arraystore.AccessDenied):
        experiments(root, "live")["grid"]
    assert ("grid",) not in experiments(root)
    with experiments(root).run("mm grid", "r/1"):
        pass
    assert experiments(root)["mm=20grid"].name == "mm grid"
    assert experiments(root)[("mm grid",)]["r/1"].sealed
    assert experiments(root).experiment("mm grid").runs()[0].run == "r/1"
