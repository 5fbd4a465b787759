"""What a notebook shows for a store, a surface, a dataset, a manifest or a version: a small table, with every name escaped."""

from collections import Counter
from collections.abc import Callable, Iterable
from html import escape
from typing import TYPE_CHECKING, Any

from arraystore.classes.surface import Surface
from arraystore.datasets.view import DatasetView
from arraystore.pictures.rows import name_of
from arraystore.versions.manifest import Manifest, Version
from layouts.classes import Action, StorageClass, may
from layouts.naming import format_key
from layouts.schema import Kind
from layouts.times import format_time

if TYPE_CHECKING:
    from arraystore.store import Store

MOST_COLUMNS = 40
MOST_NAMED = 12
MOST_CHARACTERS = 200

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")

type Fact = tuple[str, str]


def card(thing: Any) -> str:
    """A card, in HTML. Where something can't be read, its error is what the card tells: this never raises."""
    try:
        title = repr(thing)
    except Exception as error:  # noqa: BLE001 - nobody wants a traceback instead of a card
        title = f"{type(thing).__name__}: {error}"
    try:
        return _CARDS[_kind(thing)](thing)
    except Exception as error:  # noqa: BLE001 - nor here
        problem = f"{_text(type(error).__name__)}: {_text(str(error), 2000)}"
        return f'<div><b>{_text(title)}</b><br><span style="color:#c0392b">{problem}</span></div>'


def _kind(thing: Any) -> type:
    return next(kind for kind in (DatasetView, Surface, Manifest, Version, object) if isinstance(thing, kind))


def _text(value: object, most: int = MOST_CHARACTERS) -> str:
    """Any text, escaped; shortened if it is long."""
    text = str(value)
    return escape(text if len(text) <= most else f"{text[: most - 1]}…")


def size(number: float) -> str:
    """Bytes at a glance.

    >>> size(999), size(1_500_000)
    ('999 B', '1.4 MiB')
    """
    power = 0
    while number >= 1024 and power < len(_UNITS) - 1:
        number, power = number / 1024, power + 1
    return f"{number:,.0f} B" if power == 0 else f"{number:,.1f} {_UNITS[power]}"


def moment(time_ns: int) -> str:
    """A time to the second, in UTC."""
    return f"{format_time(time_ns).partition('.')[0].rstrip('Z').replace('T', ' ')} UTC"


def _card(title: str, facts: Iterable[Fact], *tables: str) -> str:
    lines = "".join(
        f'<tr><td style="text-align:left;opacity:.7">{_text(name)}</td><td style="text-align:left">{_text(value)}</td></tr>'
        for name, value in facts
        if value
    )
    return f"<div><b>{_text(title)}</b><table>{lines}</table>{''.join(tables)}</div>"


def _table(headings: tuple[str, ...], rows: Iterable[Iterable[str]], left: int = 1) -> str:
    """A table whose first columns are words, and the others numbers."""
    sides = ['style="text-align:left"' if place < left else 'style="text-align:right"' for place in range(len(headings))]
    head = "".join(f"<th {side}>{_text(name)}</th>" for side, name in zip(sides, headings, strict=True))
    body = "".join(f"<tr>{''.join(f'<td {side}>{_text(cell)}</td>' for side, cell in zip(sides, row, strict=True))}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _store(store: "Store") -> str:
    facts = [("role", store.role.value), ("uuid", store.uuid), ("tag", store.tag_name or "")]
    rows = []
    for each in StorageClass:
        allowed = ", ".join(action.value for action in Action if may(store.role, each, action))
        rows.append((each.value, allowed or "nothing"))
    return _card(f"Store {store.url}", facts, _table(("class", "this role may"), rows, left=2))


def _surface(surface: Surface) -> str:
    entries = surface.summaries()
    spans = [entry.span for entry in entries if entry.span is not None]
    facts = [
        ("role", surface._role.value),  # noqa: SLF001 - what it is, for people
        ("datasets", f"{len(entries):,}"),
        ("rows", f"{sum(entry.rows for entry in entries):,}"),
        ("size", size(sum(entry.bytes for entry in entries))),
        ("span", f"{moment(min(span[0] for span in spans))} – {moment(max(span[1] for span in spans))}" if spans else ""),
    ]
    shown = [(entry.path, entry.schema, f"{entry.windows:,}", f"{entry.rows:,}", size(entry.bytes)) for entry in entries[:MOST_NAMED]]
    if len(entries) > MOST_NAMED:
        shown.append((f"and {len(entries) - MOST_NAMED:,} more", "", "", "", ""))
    table = _table(("key", "schema", "windows", "rows", "size"), shown, left=2) if shown else ""
    return _card(f"{type(surface).__name__} {surface.storage_class} of {surface.url}", facts, table)


def _dataset(view: DatasetView) -> str:
    view = view._still()  # noqa: SLF001 - another thread may move the handle on
    summaries = list(view.state.summaries())
    states = Counter(str(summary.completeness) for summary in summaries)
    told = ", ".join(f"{number:,} {state}" for state, number in sorted(states.items()))
    several = view.state.schema is None
    spans = [] if several else [each.clocks[view.schema.axis] for each in summaries if view.schema.axis in each.clocks]
    facts = [
        ("version", f"{view.version}{', sealed' if view.sealed else ''}"),
        ("rows", f"{view.rows:,}"),
        ("size", size(view.bytes)),
        ("windows", f"{len(summaries):,}{f' ({told})' if told else ''}"),
        ("span", f"{moment(min(span[0] for span in spans))} – {moment(max(span[1] for span in spans))}" if spans else ""),
        ("role", view.role),
    ]
    if several:
        names = view.windows()
        return _card(f"Dataset {name_of(view)}", [*facts, ("series", ", ".join(names[:MOST_NAMED]))])
    schema = view.schema
    facts.insert(1, ("schema", f"{schema.name}, {schema.order.value} order by {schema.axis}, windows of a {schema.window.value}"))
    rows = [
        (
            column.name,
            (column.dtype if column.kind is Kind.NUMBER else str(column.kind))
            + (f"[{column.levels}]" if column.levels else "")
            + ("?" if column.nullable else ""),
            column.unit or "",
            column.description,
        )
        for column in schema.columns[:MOST_COLUMNS]
    ]
    if len(schema.columns) > MOST_COLUMNS:
        rows.append((f"and {len(schema.columns) - MOST_COLUMNS} more", "", "", ""))
    return _card(f"Dataset {name_of(view)}", facts, _table(("column", "type", "unit", ""), rows, left=4))


def _manifest(manifest: Manifest) -> str:
    facts = [
        ("version", str(manifest.version)),
        ("completeness", str(manifest.completeness)),
        ("rows", f"{manifest.rows:,}"),
        ("size", f"{size(manifest.bytes)} in {len(manifest.segments):,} segments"),
        *((f"clock {clock}", f"{format_time(first)} – {format_time(last)}") for clock, (first, last) in manifest.clocks.items()),
        *(("covers", f"{format_time(start)} – {format_time(stop)}") for start, stop in manifest.coverage[:MOST_NAMED]),
        *(("made from", f"{pin.storage_class}/{format_key(pin.key)} version {pin.version}") for pin in manifest.lineage[:MOST_NAMED]),
        *((f"attribute {name}", repr(value)) for name, value in manifest.attributes.items()),
    ]
    return _card(f"Manifest {manifest.storage_class}/{format_key(manifest.key)} {manifest.window}", facts)


def _version(version: Version) -> str:
    windows = ", ".join(version.windows[:MOST_NAMED]) + ("…" if len(version.windows) > MOST_NAMED else "")
    facts = [
        ("time", moment(version.time)),
        ("operation", str(version.operation)),
        ("by", f"{version.role}, {version.process} on {version.host}"),
        ("rows added", f"{version.rows:,}"),
        ("windows", windows),
        ("inputs", f"{len(version.inputs):,}" if version.inputs else ""),
        ("reason", version.reason),
        ("digest", version.digest),
    ]
    return _card(f"Version {version.number}", facts)


_CARDS: dict[type, Callable[[Any], str]] = {
    DatasetView: _dataset,
    Surface: _surface,
    Manifest: _manifest,
    Version: _version,
    object: _store,
}
