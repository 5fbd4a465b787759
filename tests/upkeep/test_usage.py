"""Every byte of a store is counted once, by what it is for."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

import arraystore
from arraystore.cli import main
from tests.cli.conftest import build
from tests.store.conftest import rows

NONE = {"rows": 0}


@pytest.fixture
def built(tmp_path: Path) -> Path:
    build(tmp_path / "store")
    return tmp_path / "store"


def on_disk(path: Path) -> int:
    return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())


def test_what_is_counted_is_what_lies_there(built: Path) -> None:
    store = arraystore.open_store(built, role="operations")
    usage = store.du()
    for each in usage:
        place = built / each.dataset
        if each.dataset.count("/"):
            assert each.bytes == on_disk(place)
            assert each.objects == sum(path.is_file() and path.name != "lock" for path in place.rglob("*")) or each.bytes == on_disk(place)
    for name in ("raw", "canonical", "experiments"):
        assert sum(each.bytes for each in usage if each.dataset.split("/")[0] == name) == on_disk(built / name)


def test_kinds_and_columns_divide_a_dataset(tmp_path: Path) -> None:
    store = arraystore.open_store(tmp_path, role="data-quality", create=True)
    trades = store.canonical.create(("venue", "trades", "X"), arraystore.schema_by_name("trades"))
    trades.append(rows(50_000) | {"trade_id": [str(number) for number in range(50_000)]})
    trades.add_file(b"x" * 1000, name="note")
    (usage,) = arraystore.open_store(tmp_path, role="operations").du(["canonical/venue"])
    window = tmp_path / "canonical/venue/trades/X/2024-08-08"
    (segment,) = window.iterdir()
    assert set(usage.kinds) >= {"rows", "indexes", "metadata", "commits", "artifacts"}
    assert sum(usage.columns.values()) == usage.kinds["rows"]
    assert usage.columns["price"] == (segment / "price" / "0").stat().st_size
    text = [segment / name / "0" for name in ("trade_id", "trade_id_count")]
    assert usage.columns["trade_id"] == sum(path.stat().st_size for path in text if path.exists())
    assert usage.garbage is None


def test_what_gc_would_free_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arraystore.upkeep.usage.retention_of", lambda _: SimpleNamespace(grace_ns=0))
    store = arraystore.open_store(tmp_path, role="data-quality", create=True)
    trades = store.canonical.create(("venue", "trades", "X"), arraystore.schema_by_name("trades"))
    trades.append(rows(20_000))
    operations = arraystore.open_store(tmp_path, role="operations")
    (before,) = operations.du(["canonical/venue"], garbage=True)
    (segment,) = (tmp_path / "canonical/venue/trades/X/2024-08-08").iterdir()
    nobodys = segment.with_name(f"1-{'0' * 31}1")
    nobodys.mkdir()
    (nobodys / "zarr.json").write_bytes(b"{}" * 50)
    planned = operations.gc(["canonical/venue"], dry_run=True, grace="0s")["canonical/venue/trades/X"].bytes
    (after,) = operations.du(["canonical/venue"], garbage=True)
    assert before.garbage == 0
    assert after.garbage == planned == 100
    assert after.bytes == before.bytes + 100


def test_a_dataset_that_cannot_be_opened_is_counted_all_the_same(built: Path) -> None:
    (log,) = (built / "raw").rglob("_log")
    for path in log.iterdir():
        path.write_bytes(b"broken")
    usage = {each.dataset: each for each in arraystore.open_store(built, role="operations").du(["raw"])}
    assert usage["raw/binance-usdm/market/rec-1"].bytes == on_disk(log.parent)


def test_only_what_a_role_may_read_is_counted(built: Path) -> None:
    assert {each.dataset.split("/")[0] for each in arraystore.open_store(built, role="live").du()} == {
        "canonical",
        "derived",
        "execution-records",
    }
    with pytest.raises(arraystore.AccessDenied):
        arraystore.open_store(built, role="live").du(["raw"])


def test_the_command_tells_sums_and_columns(built: Path) -> None:
    def run(*words: str) -> list[str]:
        return CliRunner().invoke(main, ["du", "--root", str(built), *words]).stdout.splitlines()

    assert run("canonical/*/trades")[1].split()[0] == "canonical/binance-usdm/trades/BTC=2FUSDT"
    assert any(line.startswith("canonical, all") for line in run())
    assert run("--garbage")[-1].endswith("of which gc would free 0 B")
    assert [line for line in run("raw", "--columns") if " payload " in line] or "size" in run("raw", "--columns")[0]
    assert CliRunner().invoke(main, ["du", "nothing/*", "--root", str(built)]).exit_code == 3
