"""The page of one dataset: what it is, what it covers, what its columns take, how it came to be, and whether it is whole."""

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from arraystore.datasets.sizes import sizes_of
from arraystore.datasets.view import DatasetView
from arraystore.errors import ArrayStoreError, NotFound
from arraystore.findings import Finding
from arraystore.pictures.cards import moment, size
from arraystore.pictures.coverage import days_of, matrix_of
from arraystore.pictures.drawings import coverage_drawing, graph_drawing
from arraystore.pictures.lineages import graph_of
from arraystore.pictures.markup import Cell, Markup, element, facts, joined, table
from arraystore.pictures.page import note, section, tiles
from arraystore.pictures.rows import name_of
from arraystore.versions.manifest import version_of
from layouts.codecs import codec_for
from layouts.schema import Column, Kind, Schema
from layouts.times import format_time

if TYPE_CHECKING:
    from arraystore.store import Store

MOST_WINDOWS = 400
MOST_VERSIONS = 60
MOST_FINDINGS = 200
MOST_NAMED = 6


def told(name: str, heading: str, build: Callable[[], Markup]) -> Markup:
    """A section; where it can't be told, its error is, and the others are all the same."""
    try:
        return section(name, heading, build())
    except ArrayStoreError as error:
        return section(name, heading, element("p", f"can't be told: {error}", class_="bad"))


def dataset_sections(view: DatasetView, store: "Store | None", verify: str, now: int) -> list[Markup]:
    """All that the page tells, below its title."""
    return [
        _tiles(view),
        told("what", "What it is", lambda: _what(view)),
        told("coverage", "Coverage", lambda: _coverage(view)),
        told("columns", "Columns", lambda: _columns(view)),
        told("windows", "Windows", lambda: _windows(view)),
        told("versions", "Versions", lambda: _versions(view)),
        told("lineage", "Lineage", lambda: _lineage(view, store)),
        told("verification", "Verification", lambda: _verification(view, verify, now)),
    ]


def _tiles(view: DatasetView) -> Markup:
    try:
        summaries = list(view.state.summaries())
        ratio = sizes_of(view).ratio
    except ArrayStoreError as error:
        return element("p", f"can't be told: {error}", class_="bad")
    pairs = [
        ("rows", f"{view.rows:,}"),
        ("stored", size(view.bytes)),
        ("windows", f"{len(summaries):,}"),
        ("version", f"{view.version:,}"),
    ]
    return tiles([*pairs[:2], *([("times smaller than arrays", f"{ratio:,.1f}")] if ratio else []), *pairs[2:]])


def schemas_of(view: DatasetView) -> list[Schema]:
    """The schema in force, or of several series each one that there is."""
    try:
        return [view.schema]
    except NotFound:
        return list({view.schema_of(window).name: view.schema_of(window) for window in view.windows()}.values())


def _what(view: DatasetView) -> Markup:
    states = Counter(str(summary.completeness) for summary in view.state.summaries())
    schemas = [f"{each.name}: {each.order.value} order by {each.axis}, windows: {each.window.value}" for each in schemas_of(view)]
    pairs: list[tuple[str, object]] = [
        ("schema", "; ".join(schemas)),
        ("completeness", ", ".join(f"{number:,} {state}" for state, number in sorted(states.items()))),
        ("profile", str(view.profile)),
        ("sealed", "yes: nothing can be added" if view.sealed else ""),
        ("location", view.location),
        ("uuid", view.uuid),
        ("digest", element("code", view.digest)),
    ]
    files = [f"{name} ({size(file.size)})" for name, file in view.artifacts().items()]
    pairs.append(("files", ", ".join(files[:MOST_NAMED]) + (f" and {len(files) - MOST_NAMED:,} more" if len(files) > MOST_NAMED else "")))
    pairs += [(f"attribute {name}", _as_json(value)) for name, value in sorted(view.attributes.items())]
    return facts(pairs)


def _as_json(value: object) -> object:
    encoded = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return element("code", encoded if len(encoded) <= 2000 else f"{encoded[:2000]}…")


def _coverage(view: DatasetView) -> Markup:
    if not view.rows:
        return note("It has no rows yet.")
    return joined([coverage_drawing(matrix_of([days_of(view)])), coverage_key()])


def coverage_key() -> Markup:
    """What the colours mean."""
    names = (("complete", "--blue"), ("partial", "--orange"), ("open", "--green"), ("no rows", "--gap"))
    marks = (joined([element("i", style=f"background:var({colour})"), name]) for name, colour in names)
    return element("p", *marks, "; the stronger the colour, the more rows; UTC days", class_="note key")


def _columns(view: DatasetView) -> Markup:
    sizes = sizes_of(view)
    largest = max((each.stored for each in sizes.columns.values()), default=0)
    rows = []
    for schema in schemas_of(view):
        for column in schema.columns:
            each = sizes.columns.get(column.name)
            stored, decoded = (each.stored, each.decoded) if each else (0, 0)
            ratio = each.ratio if each else None
            values = next(schema.arrays_of(column))
            cells: list[object] = [
                column.name,
                _type_of(column),
                column.unit or "",
                codec_for(str(view.profile), values.dtype, payload=values.is_payload).name,
                Cell(size(stored), stored, stored / largest if largest else None),
                Cell(size(decoded), decoded),
                Cell(f"{ratio:,.1f}" if ratio else "", ratio or 0),
                column.description,
            ]
            rows.append(cells)
    headings = ("column", "type", "unit", "codec", "stored", "as arrays", "ratio", "")
    shown = table(headings, rows, numbers=("stored", "as arrays", "ratio"))
    return joined(
        [shown, note(f"{size(sizes.tails)} of rows travel in commits, until they are folded into columns.") if sizes.tails else ""]
    )


def _type_of(column: Column) -> str:
    kind = column.dtype if column.kind is Kind.NUMBER else str(column.kind)
    return f"{kind}{f'[{column.levels}]' if column.levels else ''}{', may be null' if column.nullable else ''}"


def _windows(view: DatasetView) -> Markup:
    names = view.windows()
    shown = names[-MOST_WINDOWS:]
    manifests = [view.manifest(name) for name in reversed(shown)]
    most = max((manifest.rows for manifest in manifests), default=0)
    rows = []
    for manifest in manifests:
        first, last = manifest.clocks.get(view.schema_of(manifest.window).axis, (None, None))
        rows.append(
            [
                manifest.window,
                Cell(f"{manifest.rows:,}", manifest.rows, manifest.rows / most if most else None),
                Cell(size(manifest.bytes), manifest.bytes),
                str(manifest.completeness),
                f"{len(manifest.segments):,}",
                str(manifest.version),
                "" if first is None else format_time(first),
                "" if last is None else format_time(last),
            ]
        )
    headings = ("window", "rows", "size", "state", "segments", "version", "first", "last")
    made = table(headings, rows, numbers=("rows", "size", "segments", "version"), whole=("window", "first", "last"))
    return joined([made, note(f"The last {MOST_WINDOWS:,} of {len(names):,} windows.") if len(names) > MOST_WINDOWS else ""])


def _versions(view: DatasetView) -> Markup:
    commits = view._log.commits(view.state, after=max(0, view.version - MOST_VERSIONS))  # noqa: SLF001 - no further back than shown
    versions = [version_of(commit, digest, view._told) for commit, digest in reversed(list(commits))]  # noqa: SLF001
    rows = [
        [
            Cell(str(each.number), each.number),
            moment(each.time),
            each.role,
            str(each.operation),
            Cell(f"{each.rows:,}", each.rows),
            ", ".join(each.windows[:MOST_NAMED])
            + (f" and {len(each.windows) - MOST_NAMED:,} more" if len(each.windows) > MOST_NAMED else ""),
            each.reason,
        ]
        for each in versions
    ]
    made = table(
        ("version", "time", "role", "operation", "rows added", "windows", "reason"),
        rows,
        numbers=("version", "rows added"),
        whole=("time",),
    )
    return joined([made, note(f"The newest {len(rows):,} of {view.version:,} versions.") if len(rows) < view.version else ""])


def _lineage(view: DatasetView, store: "Store | None") -> Markup:
    graph = graph_of(view, store)
    below = "" if store is not None else " What was made from it isn't looked for here: store.report(path, dataset) does."
    if not graph.edges:
        return note(f"Nobody said what it was made from{', or made anything from it' if store is not None else ''}.{below}")
    left = f" {graph.left_out:,} more datasets aren't shown." if graph.left_out else ""
    return joined([graph_drawing(graph), note(f"From what was read (left) to what was made of it (right).{left}{below}")])


def _verification(view: DatasetView, verify: str, now: int) -> Markup:
    if verify == "no":
        return not_verified()
    findings = view.verify(deep=verify == "deep")
    segments = sum(len(manifest.segments) for manifest in view.manifests())
    looked = f"{segments:,} segments in use at version {view.version}, the log up to it, and what kept versions name"
    return verified(findings, looked, verify, now)


def not_verified() -> Markup:
    """That nothing was looked at."""
    return note("Not looked at for this page: `arraystore verify` tells whether all still is what was written.")


def verified(findings: list[Finding], looked: str, verify: str, now: int) -> Markup:
    """What a verification found."""
    how = "every byte was read and decoded" if verify == "deep" else "digests, indexes and sizes; rows weren't decoded"
    told_how = note(f"Looked at on {moment(now)}: {looked} ({how}).")
    if not findings:
        return joined([element("p", "Nothing found wrong.", class_="good"), told_how])
    rows = [[each.dataset, each.where, each.problem, each.remedy] for each in findings[:MOST_FINDINGS]]
    more = f", of which {MOST_FINDINGS} are shown" if len(findings) > MOST_FINDINGS else ""
    heading = element("p", f"{len(findings):,} findings{more}.", class_="bad")
    return joined([heading, table(("dataset", "where", "what is wrong", "what to do"), rows), told_how])


def title_of(view: DatasetView) -> str:
    """The page's title."""
    return name_of(view)
