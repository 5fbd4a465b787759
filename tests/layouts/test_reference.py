"""The reference of schemas says what the code says."""

import subprocess
import sys
from pathlib import Path

import pytest

from layouts import SCHEMAS, schema_by_name
from layouts.reference import schemas_markdown

ROOT = Path(__file__).parents[2]


def test_the_page_in_the_repository_is_the_one_that_the_code_tells():
    assert (ROOT / "docs/schemas.md").read_text(encoding="utf-8") == schemas_markdown(), "run: python -m layouts > docs/schemas.md"


def test_the_command_prints_the_page():
    printed = subprocess.run([sys.executable, "-m", "layouts"], capture_output=True, check=True, cwd=ROOT).stdout
    assert printed.decode() == schemas_markdown()


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_column_of_every_schema_is_told_with_its_description_and_codes(name):
    page = schemas_markdown()
    section = page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    common = page.partition("\n## Market data\n")[2].partition("\n## trades\n")[0] if "*M*" in section else ""
    rows = {line.split("`")[1]: line for line in (common + section).splitlines() if line.startswith("| `")}
    for column in schema_by_name(name).columns:
        row = rows[column.name]
        assert ("| null |" in row) == column.nullable
        told = row if "#codes" not in row else page.partition("## Codes")[2].partition("\n## ")[0]
        assert [meaning for meaning, _ in column.vocabulary if f"`{meaning}`" not in told] == []
        assert column.name == "time" or column.description in row
