"""`status` counts what there is, goes on where something can't be opened, and speaks Prometheus."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import arraystore
from arraystore.cli import main
from arraystore.upkeep.status import ClassStatus, prometheus
from tests.store.conftest import DAY, START, rows
from tests.upkeep.conftest import BIG, TRADES, flip, keys, open_root, operations

PARSER = "prometheus_client.parser"


def by_class(url: str, **options: Any) -> dict[str, ClassStatus]:
    return {each.storage_class: each for each in operations(url).status(**options)}


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """As a server would read it; raises for what isn't in the format."""
    families = list(pytest.importorskip(PARSER).text_string_to_metric_families(text))
    assert {family.type for family in families} == {"gauge"}
    assert all(family.documentation for family in families)
    return {
        (sample.name, frozenset((name, value) for name, value in sample.labels.items() if name != "store")): sample.value
        for family in families
        for sample in family.samples
    }


def test_it_counts_what_there_is(memory: str) -> None:
    found = by_class(memory)
    canonical = found["canonical"]
    assert (canonical.datasets, canonical.windows, canonical.rows) == (2, 4, BIG // 2 + BIG + 10 + 9000)
    assert canonical.unfinished == sum(
        operations(memory).canonical[key].manifest(window).completeness != "complete"
        for key in operations(memory).canonical
        for window in operations(memory).canonical[key].windows()
    )
    assert canonical.last_commit == max(operations(memory).canonical[key].versions()[-1].time for key in operations(memory).canonical)
    assert (found["experiments"].states, found["experiments"].failures) == ({"finished": 1}, 0)
    assert (found["raw"].datasets, found["raw"].last_commit, found["raw"].to_json()["last_commit"]) == (0, 0, None)
    assert found["quarantine"].datasets == 0, "its only dataset was deleted"
    assert (canonical.garbage, canonical.garbage_bytes) == (None, None)


def test_it_follows_what_changes(memory: str) -> None:
    store = operations(memory)
    before = {each.storage_class: each.rows for each in store.status()}
    arraystore.open_store(memory, role="data-quality").canonical[TRADES].append(rows(7, START + 9 * DAY))
    after = {each.storage_class: each.rows for each in store.status()}
    assert after["canonical"] == before["canonical"] + 7


def test_failures_are_counted(memory: str) -> None:
    with pytest.raises(ZeroDivisionError), arraystore.open_store(memory, role="backtesting").experiments.run("grid", run_id="2"):
        1 / 0  # noqa: B018
    found = by_class(memory)["experiments"]
    assert (found.states, found.failures) == ({"failed": 1, "finished": 1}, 1)


def test_a_dataset_that_cannot_be_opened_is_told_and_the_rest_counted(memory: str) -> None:
    root = open_root(memory)
    flip(root, f"canonical/venue/trades/X/_log/{7:020d}")
    for key in [key for key in keys(root) if "/_catalog/" in key]:
        root.delete(key)
    canonical = by_class(memory)["canonical"]
    assert (canonical.datasets, canonical.rows, canonical.failures) == (1, 9000, 1)
    assert canonical.unreadable[0].dataset == "canonical/venue/trades/X"
    assert samples(prometheus("x", [canonical]))["arraystore_unreadable_datasets", frozenset({("class", "canonical")})] == 1


def test_garbage_is_looked_for_on_request(memory: str) -> None:
    name = f"0-{'ab' * 16}"
    open_root(memory).create(f"canonical/venue/trades/X/2024-08-08/{name}/price/0", bytes(1000))
    later = by_class(memory, deep=True)["canonical"]
    planned = operations(memory).gc("canonical")
    assert later.garbage == sum(len(garbage.items) for garbage in planned.values())
    assert later.garbage_bytes == sum(garbage.bytes for garbage in planned.values())


def test_a_role_sees_its_own_classes(memory: str) -> None:
    assert [each.storage_class for each in arraystore.open_store(memory, role="live").status()] == [
        "canonical",
        "derived",
        "execution-records",
    ]


def test_prometheus_reads_the_same_numbers(memory: str) -> None:
    store = operations(memory)
    classes = store.status(deep=True)
    found = samples(prometheus(store.uuid, classes))
    for each in classes:
        label = frozenset({("class", each.storage_class)})
        assert found["arraystore_rows", label] == each.rows
        assert found["arraystore_stored_bytes", label] == each.bytes
        assert found["arraystore_garbage_bytes", label] == each.garbage_bytes
        assert (("arraystore_last_commit_timestamp_seconds", label) in found) == (each.last_commit > 0)
    assert found["arraystore_datasets_in_state", frozenset({("class", "experiments"), ("state", "finished")})] == 1


def test_labels_are_escaped() -> None:
    strange = 'a"b\\c\nd'
    text = prometheus("s", [ClassStatus(storage_class="experiments", states={strange: 3})])
    assert samples(text)["arraystore_datasets_in_state", frozenset({("class", "experiments"), ("state", strange)})] == 3


def test_the_command_prints_a_table_json_or_metrics(made_once: Path) -> None:
    def run(*args: str) -> Any:
        return CliRunner().invoke(main, ["status", "--root", str(made_once), *args])

    shown = run("--deep")
    assert (shown.exit_code, "execution-records" in shown.stdout, "1 finished" in shown.stdout, "garbage" in shown.stdout) == (
        0,
        True,
        True,
        True,
    )
    told = json.loads(run("--json").stdout)
    assert {each["storage_class"]: each["datasets"] for each in told["classes"]}["canonical"] == 2
    assert samples(run("--prometheus").stdout)
    assert run("--prometheus", "--json").exit_code == 2
