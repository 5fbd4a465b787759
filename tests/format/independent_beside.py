"""What tells of datasets (sections 14 to 16: journal, catalog, lineage, tags), read from FORMAT.md alone."""

import hashlib
from pathlib import Path

from tests.format.independent_records import Json, escape, need, read_object, read_record, unescape


def digits(path: str) -> str:
    """What the mark of a dataset is called."""
    return hashlib.sha256(path.encode()).hexdigest()[:32]


def _marks(place: Path) -> set[str]:
    paths = set()
    for mark in place.iterdir() if place.is_dir() else ():
        path = read_object(mark).decode()
        need(digits(path) == mark.name, f"{mark} holds {path}")
        paths.add(path)
    return paths


def marked(root: Path) -> dict[int, set[str]]:
    """Paths of the datasets that may have got versions, by generation."""
    folder = root / "_journal"
    generations = {place.name: place for place in folder.iterdir()} if folder.is_dir() else {}
    need(all(len(name) == 10 and name.isdecimal() for name in generations), "generations")
    return {int(name): _marks(place) for name, place in generations.items()}


def deleted(root: Path) -> set[str]:
    """Paths of datasets that may have been deleted."""
    return _marks(root / "_deleted")


def catalog(root: Path) -> Json:
    """What was known of the datasets of a class, and of which generation that is."""
    return read_record(root / "_catalog" / "latest", "catalog").header


def made_from(store: Path, name: str, path: str) -> list[Json]:
    """The versions that were, or were about to be, made from a dataset."""
    folder, found = store / "lineage" / name / digits(path), []
    for place in sorted(folder.iterdir()) if folder.is_dir() else ():
        edge = read_record(place, "lineage").header
        version, _, chance = place.name.partition("-")
        need((str(edge["version"]), len(chance)) == (version, 16), place)
        need(all("/".join(map(escape, pin["key"])) == path and pin["class"] == name for pin in edge["inputs"]), f"{place} names others")
        found.append(edge)
    return found


def tags(store: Path) -> dict[str, list[Json]]:
    """Every version of every tag, each of which names the digest of the one before."""
    found = {}
    for folder in (store / "tags").iterdir():
        name, before = unescape(folder.name), ""
        assert name is not None
        found[name] = []
        for number, place in enumerate(sorted(folder.iterdir()), 1):
            record = read_record(place, "tag")
            need(place.name == f"{number:020}" and (record.header["name"], record.header["version"]) == (name, number), place)
            need(record.header["previous"] == before, f"{place} doesn't chain")
            before = record.digest
            found[name].append(record.header)
    return found
