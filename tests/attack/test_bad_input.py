"""Whatever nonsense is passed: an error from our tree that names the place and the remedy, nothing written, and the store works on."""

import io
from pathlib import Path

import numpy as np
import pytest

import arraystore
from tests.attack.conftest import tree
from tests.attack.nonsense import CASES, FILL, KEY, Everything
from tests.store.conftest import DAY, START, rows


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Everything:
    return Everything(tmp_path_factory.mktemp("bad") / "store")


@pytest.mark.parametrize("name", CASES)
def test_nonsense_is_refused_and_leaves_no_trace(everything: Everything, name: str) -> None:
    with pytest.raises(arraystore.ArrayStoreError) as refusal:
        CASES[name](everything)
    assert isinstance(refusal.value, arraystore.FixTheCall | arraystore.InvalidInput), "the caller can mend it"
    assert len(str(refusal.value)) > 20, "it says what and where"
    if isinstance(refusal.value, arraystore.InvalidInput):
        assert all(problem.where and problem.what for problem in refusal.value.problems)
    assert tree(everything.root.parent) == everything.tree
    assert everything.trades.version == everything.version


def test_after_all_of_it_everything_works_on(tmp_path: Path) -> None:
    store = Everything(tmp_path / "store")
    for call in CASES.values():
        with pytest.raises(arraystore.ArrayStoreError):
            call(store)
    store.trades.append(rows(5, first=40_000))
    assert store.trades.read().row_count == 20_008
    assert store.session.append("fills", FILL).first == 2
    with store.run as run:
        run.log(sharpe=1.0)
    assert store.backtesting.experiments["experiment/run"].attributes["metrics"] == {"sharpe": 1.0}, "no metric of a refused call"
    store.quality.quarantine.reject(KEY, "2024-08-08", note="n")
    for surface in (store.quality.canonical, store.quality.quarantine, store.backtesting.experiments, store.live.execution_records):
        assert not [finding for key in surface for finding in surface[key].verify(deep=True)]


def test_every_problem_of_an_append_is_told_at_once(trades: arraystore.Dataset) -> None:
    wrong = rows(3) | {"pricee": np.zeros(3), "price": np.array(["a", "b", "c"]), "size": np.zeros(2), "time": [START, 2**63 - 1, START]}
    with pytest.raises(arraystore.InvalidInput) as refusal:
        trades.append(wrong)
    told = {problem.where for problem in refusal.value.problems}
    assert told == {"column 'pricee'", "column 'price'", "column 'size'", "column 'time'"}


def test_what_is_almost_json_is_kept_as_json(trades: arraystore.Dataset) -> None:
    trades.update(
        attributes={"tuple": (1, 2), "numpy": np.float64(0.5), "count": np.int32(3), "yes": np.True_, "deep": {"a": [{"b": None}]}}
    )
    assert trades.attributes == {"tuple": [1, 2], "numpy": 0.5, "count": 3, "yes": True, "deep": {"a": [{"b": None}]}}


def test_what_is_handed_out_or_in_can_be_changed_without_harm(trades: arraystore.Dataset) -> None:
    given = {"list": [1]}
    trades.append(rows(3), window_attributes=given)
    given["list"].append(2)
    trades.update(attributes=given)
    trades.attributes["list"].append(3)
    trades.manifest("2024-08-08").attributes["list"].append(4)
    assert trades.attributes == {"list": [1, 2]}
    assert trades.manifest("2024-08-08").attributes == {"list": [1]}
    assert trades.refresh().at(2).manifest("2024-08-08").attributes == {"list": [1]}


def test_a_file_that_fails_half_way_leaves_nothing(trades: arraystore.Dataset, root: Path) -> None:
    class Failing(io.RawIOBase):
        given = 0

        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            self.given += 1
            if self.given > 2:
                raise OSError(5, "the disk it lies on failed")
            return bytes(size)

    before = tree(root)
    with pytest.raises(arraystore.InvalidInput, match="the disk it lies on failed"):
        trades.add_file(Failing(), "big")
    assert tree(root) == before
    stream = io.BytesIO(b"mine")
    trades.add_file(stream, "kept")
    assert not stream.closed, "it is the caller's"


def test_numbers_at_the_edge_of_time_are_taken(trades: arraystore.Dataset) -> None:
    first, last = arraystore.parse_time("1678-01-01"), arraystore.parse_time("2261-12-31T23:59:59.999999999")
    trades.append(rows(1, start=first))
    trades.append(rows(1, start=last))
    assert trades.windows() == ("1678-01-01", "2261-12-31")
    for time in (first - 1, last + 1):
        with pytest.raises(arraystore.InvalidInput, match="1678-01-01T00:00:00Z to 2262-01-01T00:00:00Z"):
            trades.append(rows(1, start=time))
    trades.append(None, coverage=[(first, first + DAY), (last - 5, last + 1)])
    assert trades.manifest("2261-12-31").coverage == ((last - 5, last + 1),)
