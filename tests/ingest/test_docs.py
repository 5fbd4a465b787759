"""What the pages say of files, mappings and what comes of them is so."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import arraystore
from layouts.schema import Kind
from layouts.times import format_time
from tests.ingest.conftest import written

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Recipe:
    """A file, the mapping for it, and the rows that the page promises."""

    title: str
    name: str
    content: str
    mapping: dict[str, Any]
    promised: str


def recipes(page: str) -> Iterator[Recipe]:
    """Every section of a page that has a file, a mapping and a result."""
    for section in re.split(r"^##+ ", (DOCS / page).read_text("utf-8"), flags=re.MULTILINE)[1:]:
        blocks = {kind: (info.strip(), body) for kind, info, body in BLOCK.findall(section)}
        if {"csv", "toml", "text"} <= blocks.keys():
            name, content = blocks["csv"]
            yield Recipe(section.partition("\n")[0], name, content, tomllib.loads(blocks["toml"][1]), blocks["text"][1].strip())


RECIPES = [*recipes("ingest.md"), *recipes("ingest-recipes.md")]


def cell(frame: arraystore.Frame, column: str, row: int) -> str:
    """A value as the pages write it."""
    valid = frame.valid(column)
    if valid is not None and not valid[row]:
        return "null"
    kind, value = frame.schema.column(column).kind, frame[column][row]
    if kind is Kind.TIME:
        return format_time(int(np.datetime64(value, "ns").astype(np.int64)))
    if kind is Kind.VOCABULARY:
        return {code: name for name, code in frame.schema.column(column).vocabulary}[int(value)]
    if isinstance(value, np.ndarray):
        return str(value.tolist())
    return str(value.item() if isinstance(value, np.generic) else value)


@pytest.mark.parametrize("recipe", RECIPES, ids=[recipe.title for recipe in RECIPES])
def test_the_page_keeps_its_promise(tmp_path: Path, recipe: Recipe) -> None:
    encoding = recipe.mapping.get("file", {}).get("encoding", "utf-8")
    path = written(tmp_path / recipe.name, recipe.content.encode(encoding))
    into = recipe.mapping["into"].partition("/")[0]
    role = "live" if into == "execution-records" else "data-quality"
    store = arraystore.open_store(tmp_path / "store", role=role, create=True)
    reports = arraystore.ingest(store, path, mapping=recipe.mapping).files
    assert len(reports) == 1
    storage_class, _, key = reports[0].address.partition("/")
    frame = store.surface(storage_class)[key].read()
    names = recipe.promised.splitlines()[0].split(" | ")
    rows = [" | ".join(cell(frame, name, row) for name in names) for row in range(frame.row_count)]
    assert "\n".join(rows) == recipe.promised.partition("\n")[2]


def test_there_is_a_recipe_for_every_option_of_the_language() -> None:
    """No option without an example that runs."""
    from arraystore.ingest import ColumnRule, FileRule, SchemaRule

    told: dict[str, set[str]] = {"file": set(), "columns": set(), "schema": set()}
    shipped = [tomllib.loads(path.read_text("utf-8")) for path in (DOCS.parent / "arraystore" / "ingest" / "mappings").glob("*.toml")]
    for mapping in (*shipped, *(recipe.mapping for recipe in RECIPES)):
        told["file"] |= mapping.get("file", {}).keys()
        told["schema"] |= mapping["schema"].keys()
        told["columns"] |= {option for rule in mapping["columns"].values() for option in rule}
    assert set(SchemaRule.__struct_encode_fields__) - told["schema"] == set()
    assert set(FileRule.__struct_encode_fields__) - told["file"] == set()
    assert set(ColumnRule.__struct_encode_fields__) - told["columns"] == set()
