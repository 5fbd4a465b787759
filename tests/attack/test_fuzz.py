"""Whatever bytes are where a record or document should be, its parser returns or refuses in our words.

`python -m tests.attack.fuzz 600` searches for ten minutes; a finding's shortest bytes belong into `STUMBLING` here.
"""

import base64
import json
import os
from pathlib import Path

import pytest

from tests.attack.fuzz import Targets, attempt, run

SECONDS = float(os.environ.get("ARRAYSTORE_FUZZ_SECONDS", "600"))
STUMBLING: dict[str, list[str]] = {
    "commit": ["YXJyYXlzdG9yZSBjb21taXQgMSAwIDAgMAo="],
    "mapping": ["W2ZpbGVd", "//8="],
    "DBN": ["REJO", "REJOAv////8="],
    "hints": ["LTE=", "wrI="],
}
"""Short bytes, as base64, on which such parsers easily stumble, chosen by hand; what a search finds comes to them.

A first line alone, a mapping of nothing, text that isn't UTF-8, files that end in their head, a number below zero, a digit not of ASCII.
"""


@pytest.mark.parametrize("seed", [1, 2])
def test_mutated_records_and_documents_are_refused_in_our_words(seed: int) -> None:
    done, findings = run(60, seed, most=600)
    assert done.total() == 600
    assert len(done) > 15
    assert not findings


def test_what_parsers_stumble_on_is_refused(tmp_path: Path) -> None:
    parsers = Targets(tmp_path).parsers
    for name, found in STUMBLING.items():
        for data in found:
            if name in parsers:
                assert not attempt(parsers[name][0], base64.b64decode(data)), (name, data)


def test_the_fuzzer_would_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.attack.fuzz.decode_attributes", lambda data, *_: json.loads(data)["attributes"]["arraystore"]["format"])
    _, findings = run(60, 3, most=600)
    assert any(name.startswith("store") for name in findings), findings


@pytest.mark.slow
@pytest.mark.timeout(100_000)
def test_ten_minutes_of_mutations_find_nothing() -> None:
    done, findings = run(SECONDS, 4)
    print(f"\n{done.total()} executions: {dict(done)}")  # noqa: T201 - counts are what it is run for
    assert not findings
