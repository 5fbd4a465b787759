"""`report`: one page about a store, or about a dataset, that a person would want to open; in one file that needs nothing else."""

import os
import time
from typing import TYPE_CHECKING

from arraystore import arguments
from arraystore.datasets.sizes import sizes_of
from arraystore.datasets.view import DatasetView
from arraystore.errors import ArrayStoreError, InvalidInput
from arraystore.pictures.cards import moment, size
from arraystore.pictures.coverage import matrix_of
from arraystore.pictures.datasetreport import coverage_key, dataset_sections, not_verified, title_of, told, verified
from arraystore.pictures.drawings import coverage_drawing, graph_drawing
from arraystore.pictures.lineages import graph_between
from arraystore.pictures.markup import Cell, Markup, element, joined, table
from arraystore.pictures.page import note, page, tiles
from arraystore.pictures.plots import coverage_of, matching
from arraystore.storage.outfile import appearing
from layouts.times import format_time

if TYPE_CHECKING:
    from arraystore.classes.surface import Surface
    from arraystore.store import Store
    from arraystore.upkeep.status import ClassStatus
    from arraystore.versions.entry import Entry

VERIFY = ("no", "quick", "deep")
MOST_VERIFIED = 500
MOST_LISTED = 1000
MOST_OPENED = 60


def write_report(
    path: str | os.PathLike[str],
    *,
    store: "Store | None" = None,
    dataset: DatasetView | None = None,
    verify: str | None = None,
    overwrite: bool = False,
) -> int:
    """Write the page, and return its size in bytes; it appears when it is whole."""
    if verify not in (None, *VERIFY):
        raise InvalidInput(f"{verify!r} is none of {', '.join(VERIFY)}", "verify")
    if dataset is not None and not isinstance(dataset, DatasetView):
        raise InvalidInput(f"a {type(dataset).__name__} isn't a dataset: open one as store.canonical[key]", "dataset")
    with appearing(path, overwrite=overwrite) as partial:
        data = report_page(store=store, dataset=dataset, verify=verify).encode()
        partial.write_bytes(data)
    return len(data)


def report_page(*, store: "Store | None", dataset: DatasetView | None, verify: str | None, now: int | None = None) -> str:
    """The page as text; `now` is what it says of when it was made (ns since 1970 UTC)."""
    now = time.time_ns() if now is None else now
    if dataset is not None:
        view = dataset.at(dataset.version)
        about = f"Version {view.version} as {view.role} sees it, in {view.location}"
        return page(title_of(view), _header(title_of(view), about, now), *dataset_sections(view, store, verify or "quick", now))
    assert store is not None
    return page(f"Store {store.url}", *_store_sections(store, verify, now))


def _header(title: str, about: str, now: int) -> Markup:
    return element("header", element("h1", title), element("p", f"{about}; looked at on {moment(now)}"))


def _store_sections(store: "Store", verify: str | None, now: int) -> list[Markup]:
    classes = store.status()
    listed = matching(store, ())
    tag = f", at the tag {store.tag_name}" if store.tag_name else ""
    return [
        _header(f"Store {store.url}", f"As {store.role.value} sees it{tag}; {store.uuid}", now),
        _totals(classes),
        told("classes", "Classes", lambda: _classes(classes)),
        told("coverage", "Coverage", lambda: _coverage(store)),
        told("datasets", "Datasets", lambda: _datasets(listed)),
        told("lineage", "Lineage", lambda: _lineage(listed)),
        told("tags", "Tags", lambda: _tags(store)),
        told("verification", "Verification", lambda: _verification(store, verify, len(listed), now)),
    ]


def _totals(classes: "list[ClassStatus]") -> Markup:
    newest = max((each.last_commit for each in classes), default=0)
    pairs = [
        ("datasets", f"{sum(each.datasets for each in classes):,}"),
        ("rows", f"{sum(each.rows for each in classes):,}"),
        ("stored", size(sum(each.bytes for each in classes))),
        ("windows", f"{sum(each.windows for each in classes):,}"),
    ]
    return tiles([*pairs, *([("last commit", moment(newest))] if newest else [])])


def _classes(classes: "list[ClassStatus]") -> Markup:
    most = max((each.bytes for each in classes), default=0)
    rows = [
        [
            each.storage_class,
            Cell(f"{each.datasets:,}", each.datasets),
            Cell(f"{each.windows:,}", each.windows),
            Cell(f"{each.unfinished:,}", each.unfinished),
            Cell(f"{each.rows:,}", each.rows),
            Cell(size(each.bytes), each.bytes, each.bytes / most if most else None),
            moment(each.last_commit) if each.last_commit else "",
            ", ".join(f"{number:,} {state}" for state, number in each.states.items()),
            Cell(f"{each.failures:,}", each.failures),
        ]
        for each in classes
    ]
    headings = ("class", "datasets", "windows", "unfinished", "rows", "size", "last commit", "states", "failures")
    made = table(headings, rows, numbers=("datasets", "windows", "unfinished", "rows", "size", "failures"))
    broken = [[each.dataset, each.problem] for one in classes for each in one.unreadable]
    return joined([made, element("p", "These can't be opened:", class_="bad"), table(("dataset", "problem"), broken)]) if broken else made


def _coverage(store: "Store") -> Markup:
    found, left_out = coverage_of(store, (), None, None, most=MOST_OPENED)
    if not any(len(each.days) for each in found):
        return note("No dataset has rows yet.")
    matrix = matrix_of(found, left_out=left_out)
    parts = [coverage_drawing(matrix), coverage_key()]
    if matrix.step > 1:
        parts.append(note(f"Each column has {matrix.step} days."))
    if left_out:
        parts.append(note(f"{left_out:,} more datasets, with fewer rows, aren't shown."))
    if (matrix.starts < 0).any():
        parts.append(note("Where there is a dotted line, time in which no dataset has rows is left out."))
    return joined(parts)


def _datasets(listed: "list[tuple[Surface, Entry]]") -> Markup:
    order = sorted(range(len(listed)), key=lambda place: -listed[place][1].rows)
    opened, shown = set(order[:MOST_OPENED]), sorted(order[:MOST_LISTED])
    most = max((entry.bytes for _, entry in listed), default=0)
    rows = []
    for place in shown:
        surface, entry = listed[place]
        ratio = _ratio(surface, entry) if place in opened else None
        first, last = entry.span or (None, None)
        rows.append(
            [
                f"{surface.storage_class}/{entry.path}",
                entry.schema,
                Cell(f"{entry.windows:,}", entry.windows),
                Cell(f"{entry.unfinished:,}", entry.unfinished),
                Cell(f"{entry.rows:,}", entry.rows),
                Cell(size(entry.bytes), entry.bytes, entry.bytes / most if most else None),
                Cell(f"{ratio:,.1f}" if ratio else "", ratio or 0),
                "" if first is None else Cell(format_time(first)[:10], format_time(first)),
                "" if last is None else Cell(format_time(last)[:10], format_time(last)),
                Cell(f"{entry.version:,}", entry.version),
                Cell(moment(entry.changed)[:16], entry.changed),
            ]
        )
    headings = ("dataset", "schema", "windows", "unfinished", "rows", "size", "ratio", "first", "last", "version", "last commit")
    made = table(
        headings, rows, numbers=("windows", "unfinished", "rows", "size", "ratio", "version"), whole=("first", "last", "last commit")
    )
    remarks = ["Times are UTC. Ratio: how many times smaller than arrays in memory."]
    if len(listed) > MOST_OPENED:
        remarks.append(f"It is told of the {MOST_OPENED} datasets with the most rows.")
    if len(listed) > MOST_LISTED:
        remarks.append(f"{len(listed) - MOST_LISTED:,} more datasets, with fewer rows, aren't listed.")
    return joined([made, note(" ".join(remarks))])


def _ratio(surface: "Surface", entry: "Entry") -> float | None:
    try:
        return sizes_of(surface[entry.path]).ratio
    except ArrayStoreError:
        return None  # that it can't be opened is told elsewhere


def _lineage(listed: "list[tuple[Surface, Entry]]") -> Markup:
    largest = sorted(listed, key=lambda each: -each[1].rows)[:MOST_OPENED]
    views = []
    for surface, entry in largest:
        try:
            views.append(surface[entry.path])
        except ArrayStoreError:
            continue  # as above
    graph = graph_between(views)
    if not graph.edges:
        return note("Nobody said of a dataset here what it was made from.")
    left = f" {graph.left_out:,} more datasets aren't shown." if graph.left_out else ""
    return joined([graph_drawing(graph), note(f"From what was read (left) to what was made of it (right).{left}")])


def _tags(store: "Store") -> Markup:
    names = arguments.texts(store.tags(), "tags")
    if not names:
        return note("There are no tags.")
    found = [store.tagged(name) for name in names[:MOST_LISTED]]
    rows = [[each.name, str(each.version), f"{len(each.pins):,}", each.role, each.reason] for each in found]
    return table(("tag", "version", "datasets", "role", "reason"), rows, numbers=("version", "datasets"))


def _verification(store: "Store", verify: str | None, datasets: int, now: int) -> Markup:
    if verify == "no" or (verify is None and datasets > MOST_VERIFIED):
        return not_verified()
    done = store.verify(deep=verify == "deep")
    looked = f"{len(done.covered):,} datasets, {sum(each.segments for each in done.covered):,} segments, {size(done.bytes_read)} read"
    return verified(list(done.findings), looked, verify or "quick", now)
