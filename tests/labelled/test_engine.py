"""xarray opens datasets by path, and what lies above them as trees, as far as the role may read."""

import uuid
from pathlib import Path

import pytest
import xarray as xr

import arraystore
from arraystore.errors import AccessDenied, InvalidInput, NotFound
from arraystore.labelled import places
from arraystore.labelled.engine import ArrayStoreEntrypoint
from tests.labelled.conftest import KEY, TICKS, ticks

PLACE = "canonical/venue/quotes/BTCUSDT"


def eager(dataset, *args, **options):
    return dataset.read(*args, **options).to_xarray(by_row=True)


def test_a_dataset_opens_by_its_place(filled, root):
    for place in (root / PLACE, str(root / PLACE), f"{root}/{PLACE}/", f"file://{root}/{PLACE}"):
        with xr.open_dataset(place, engine="arraystore", role="backtesting") as data:
            xr.testing.assert_equal(data.load(), eager(filled))


def test_it_is_known_without_naming_the_engine(filled, root, monkeypatch):
    monkeypatch.delenv("ARRAYSTORE_ROLE", raising=False)
    xr.testing.assert_equal(xr.open_dataset(root / PLACE).load(), eager(filled))
    guess = ArrayStoreEntrypoint().guess_can_open
    assert not any(map(guess, (root, root / "canonical", root / "nothing", "s3://bucket/canonical/a/b/c", 7, "/dev/null")))


@pytest.mark.filterwarnings("ignore:The specified chunks separate the stored chunks")
@pytest.mark.parametrize("chunks", [{}, "auto", {"time": 1000}], ids=str)
def test_with_chunks_it_is_dasks(filled, root, chunks):
    objects = ["venue", "note", "payload"] if chunks == "auto" else []  # whose size Dask can't tell
    data = xr.open_dataset(root / PLACE, engine="arraystore", chunks=chunks, drop_variables=objects)
    assert type(data.price.data).__module__.startswith("dask")
    wanted = eager(filled).drop_vars(objects).sel(time=slice("2024-08-09", None))
    xr.testing.assert_equal(data.sel(time=slice("2024-08-09", None)).compute(), wanted)


def test_ranges_columns_versions_and_what_is_dropped(filled, root):
    options = {"start": "2024-08-08T01", "end": "2024-08-09T02", "columns": ["price", "venue"]}
    data = xr.open_dataset(root / PLACE, engine="arraystore", drop_variables=["venue_valid", "nothing"], **options)
    xr.testing.assert_equal(data.load(), eager(filled, *list(options.values())[:2], ["time", "price", "venue"]).drop_vars("venue_valid"))
    data = xr.open_dataset(root / PLACE, engine="arraystore", version=2, drop_variables="price")
    xr.testing.assert_equal(data.load(), eager(filled.at(2)).drop_vars("price"))
    data = xr.open_dataset(root / PLACE, engine="arraystore", window="2024-08-10", clock="sent", start="2024-08-10", end="2024-08-11")
    xr.testing.assert_equal(data.load(), eager(filled, "2024-08-10", "2024-08-11", window="2024-08-10", clock="sent"))


def test_roles_hold_and_are_asked_first(filled, root, monkeypatch):
    def no_storage(*_, **__):
        raise AssertionError("I/O before the access check")

    with monkeypatch.context() as patch:
        patch.setattr(places, "open_storage", no_storage)
        for opening in (xr.open_dataset, xr.open_datatree):
            with pytest.raises(AccessDenied, match="data-recording may not read canonical"):
                opening(root / PLACE, engine="arraystore", role="data-recording")
        with pytest.raises(AccessDenied, match="analysis may not read raw"):
            xr.open_dataset(root / "raw/a/b/c", engine="arraystore")
        with pytest.raises(AccessDenied, match="analysis may not read quarantine"):
            xr.open_datatree(root / "quarantine", engine="arraystore")
    monkeypatch.setenv("ARRAYSTORE_ROLE", "data-recording")
    with pytest.raises(AccessDenied, match="data-recording may not read canonical"):
        xr.open_dataset(root / PLACE, engine="arraystore")
    with pytest.raises(InvalidInput, match="'boss' is none of"):
        xr.open_dataset(root / PLACE, engine="arraystore", role="boss")


def test_a_class_elsewhere_is_told_by_its_root(tmp_path):
    arraystore.init_store(tmp_path / "store", roots={"canonical": str(tmp_path / "other" / "place")})
    dataset = arraystore.open_store(tmp_path / "store", role="data-quality").canonical.create(KEY, TICKS)
    dataset.append(ticks(50))
    place = tmp_path / "other" / "place" / "venue" / "quotes" / "BTCUSDT"
    xr.testing.assert_equal(xr.open_dataset(place, engine="arraystore").load(), eager(dataset))
    with pytest.raises(AccessDenied):
        xr.open_dataset(place, engine="arraystore", role="data-recording")


def test_where_no_dataset_is_it_is_told(filled, root, tmp_path):
    for place in ("canonical/venue/quotes", "canonical", "", f"{PLACE}/2024-08-08"):
        with pytest.raises(NotFound):
            xr.open_dataset(root / place, engine="arraystore")
    with pytest.raises(NotFound):
        xr.open_dataset(root / "canonical/venue/quotes/NOTHING", engine="arraystore")
    with pytest.raises(NotFound):
        xr.open_dataset(tmp_path / "nowhere", engine="arraystore")
    analysis = arraystore.open_store(root, role="analysis")
    analysis.derived.create(("bars", "1m", "venue", "ETH"), TICKS)
    analysis.derived.delete(("bars", "1m", "venue", "ETH"), reason="to see")
    with pytest.raises(NotFound, match="was deleted"):
        xr.open_dataset(root / "derived/bars/1m/venue/ETH", engine="arraystore")


@pytest.fixture
def several(root: Path) -> arraystore.Store:
    """Datasets of two venues, one with a name that must be escaped, and a run of two series."""
    store = arraystore.open_store(root, role="data-quality")
    for number, key in enumerate([("venue", "quotes", "BTC/USD"), ("venue", "trades", "ETH"), ("other", "quotes", "ETH")]):
        store.canonical.create(key, TICKS).append(ticks(30 + number, seed=number))
    backtest = arraystore.open_store(root, role="backtesting")
    schema = arraystore.Schema(
        name="curve", columns=(arraystore.Column(name="time", kind=arraystore.Kind.TIME), arraystore.Column(name="value"))
    )
    with backtest.experiments.run("grid", run_id="1") as run:
        for name in ("equity", "a/b"):
            run.write(name, {"time": [1, 2, 3], "value": [1.0, 2.0, 4.0]}, schema=schema)
    return store


def test_a_venue_a_class_and_a_store_open_as_trees(several, root):
    def leaves(place, **options):
        tree = xr.open_datatree(root / place, engine="arraystore", **options)
        return {node.path: node.sizes["time"] for node in tree.leaves if node.sizes}

    venue = {"/quotes/BTC=2FUSD": 30, "/trades/ETH": 31}
    canonical = {**{f"/venue{path}": rows for path, rows in venue.items()}, "/other/quotes/ETH": 32}
    assert leaves("canonical/venue") == venue
    assert leaves("canonical/venue/quotes") == {"/BTC=2FUSD": 30}
    assert leaves("canonical/venue/trades/ETH") == {"/": 31}
    assert leaves("canonical") == canonical
    runs = {"/experiments/grid/1/equity": 3, "/experiments/grid/1/a=2Fb": 3}
    assert leaves("") == {**{f"/canonical{path}": rows for path, rows in canonical.items()}, **runs}
    assert leaves("", role="live") == {f"/canonical{path}": rows for path, rows in canonical.items()}
    assert leaves("canonical", end="2000") == dict.fromkeys(canonical, 0)


def test_a_trees_leaves_load_as_they_read(several, root):
    for chunks in (None, {}):
        tree = xr.open_datatree(root / "canonical", engine="arraystore", role="backtesting", columns=["price", "nowhere"], chunks=chunks)
        found = tree["venue/quotes/BTC=2FUSD"].to_dataset().compute()
        xr.testing.assert_equal(found, eager(several.canonical["venue", "quotes", "BTC/USD"], columns=["time", "price"]))
        assert tree["other"].sel(time=slice("2024-08-08", "2024-08-08")).leaves[0].sizes["time"] == 32
    with pytest.raises(NotFound):
        xr.open_datatree(root / "nothing", engine="arraystore")


def test_a_store_in_memory_opens_within_its_process():
    name = f"memory://{uuid.uuid4().hex}"
    dataset = arraystore.open_store(name, role="data-quality", create=True).canonical.create(KEY, TICKS)
    dataset.append(ticks(40))
    xr.testing.assert_equal(xr.open_dataset(f"{name}/{PLACE}", engine="arraystore").load(), eager(dataset))
    assert xr.open_datatree(name, engine="arraystore")[PLACE].sizes["time"] == 40


def test_xarray_lists_the_engine():
    assert isinstance(xr.backends.list_engines()["arraystore"], ArrayStoreEntrypoint)
