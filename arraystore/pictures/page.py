"""One HTML page that needs nothing else: light and dark, readable without scripts, printable."""

from arraystore.pictures.markup import Markup, element, joined, text

_STYLE = """
:root {
  color-scheme: light dark;
  --back: #f6f6f4; --card: #fff; --ink: #1f2328; --faint: #667; --line: #dcdcd8; --gap: #ececea; --bar-ink: #0072b226;
  --blue: #0072b2; --orange: #d55e00; --green: #009e73; --purple: #a4568a; --gold: #b07a00; --bad: #b3261e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #16181b; --card: #1f2226; --ink: #e6e6e3; --faint: #9aa; --line: #3a3e44; --gap: #2b2f34; --bar-ink: #4aa8de33;
    --blue: #4aa8de; --orange: #f08a45; --green: #36c79c; --purple: #d79ac2; --gold: #e0b040; --bad: #ff8a80;
  }
}
* { box-sizing: border-box }
body { margin: 0; background: var(--back); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif }
main { max-width: 1180px; margin: 0 auto; padding: 2rem 1.25rem 4rem }
h1 { font-size: 1.45rem; margin: 0; overflow-wrap: anywhere }
h2 { font-size: 1.05rem; margin: 0 0 .6rem }
header p, .note { color: var(--faint); margin: .4rem 0 0; font-size: .87rem; overflow-wrap: anywhere }
section { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 1rem 1.1rem; margin-top: 1rem }
.tiles { display: flex; flex-wrap: wrap; gap: .7rem; margin-top: 1.1rem }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .55rem .9rem; min-width: 7.5rem }
.tile b { display: block; font-size: 1.25rem; font-variant-numeric: tabular-nums }
.tile span { color: var(--faint); font-size: .82rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-size: .86rem }
th { text-align: left; color: var(--faint); font-weight: 600; white-space: nowrap; border-bottom: 1px solid var(--line) }
th, td { padding: .22rem .8rem .22rem 0; vertical-align: top }
td { border-bottom: 1px solid var(--gap); overflow-wrap: break-word }
td:first-child { overflow-wrap: anywhere; min-width: 7rem }
#datasets td:first-child { min-width: 19rem }
#columns td:first-child { min-width: 9.5rem }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.t { white-space: nowrap; font-variant-numeric: tabular-nums }
td.bar { background: linear-gradient(var(--bar-ink), var(--bar-ink)) right / var(--bar) 100% no-repeat content-box }
.sortable.live th { cursor: pointer }
.sortable th[data-order]::after { content: " ▴" }
.sortable th[data-order="-1"]::after { content: " ▾" }
dl { margin: 0; display: grid; gap: .15rem }
dl > div { display: grid; grid-template-columns: 9rem 1fr; gap: .8rem }
dt { color: var(--faint); overflow-wrap: anywhere }
dd { margin: 0; overflow-wrap: anywhere }
code { font-size: .9em; overflow-wrap: anywhere }
svg { display: block; width: 100%; height: auto }
svg text { fill: var(--ink); font: 11px system-ui, sans-serif }
svg .faint { fill: var(--faint) }
.s-complete { fill: var(--blue) }
.s-partial { fill: var(--orange) }
.s-open { fill: var(--green) }
.s-gap { fill: var(--gap) }
.fold { stroke: var(--faint); opacity: .6 }
.key i { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin: 0 .35em 0 1em; vertical-align: -.05em }
.key i:first-child { margin-left: 0 }
.edge { fill: none; stroke: var(--faint); stroke-width: 1.2; opacity: .7 }
.node rect { fill: var(--card); stroke-width: 1.4 }
.node.self rect { stroke-width: 3 }
.c-raw rect { stroke: var(--gold) }
.c-canonical rect { stroke: var(--blue) }
.c-derived rect { stroke: var(--orange) }
.c-quarantine rect { stroke: var(--bad) }
.c-experiments rect { stroke: var(--green) }
.c-execution-records rect { stroke: var(--purple) }
.bad { color: var(--bad); font-weight: 600 }
.good { color: var(--green); font-weight: 600 }
@media print { body { background: #fff } section, .tile { break-inside: avoid } }
"""

_SCRIPT = """
for (const table of document.querySelectorAll("table.sortable")) {
  table.classList.add("live");
  table.tHead.addEventListener("click", (event) => {
    const head = event.target.closest("th");
    if (!head) return;
    const order = head.dataset.order === "1" ? -1 : 1;
    for (const other of head.parentNode.children) delete other.dataset.order;
    head.dataset.order = order;
    const of = (row) => row.cells[head.cellIndex].dataset.key ?? row.cells[head.cellIndex].textContent;
    const rows = [...table.tBodies[0].rows];
    rows.sort((a, b) => order * of(a).localeCompare(of(b), "en", { numeric: true }));
    table.tBodies[0].append(...rows);
  });
}
"""


def page(title: str, *content: Markup) -> str:
    """A whole page."""
    head = joined([Markup('<meta charset="utf-8">'), Markup('<meta name="viewport" content="width=device-width, initial-scale=1">')])
    head = joined([head, element("title", title), element("style", Markup(_STYLE))])
    body = element("body", element("main", *content), element("script", Markup(_SCRIPT)))
    return f'<!doctype html>\n<html lang="en">{element("head", head)}{body}</html>\n'


def section(name: str, heading: str, *content: object) -> Markup:
    """A part of the page under a heading, with a name to be found by."""
    return element("section", element("h2", heading), *content, id=name)


def tiles(pairs: list[tuple[str, str]]) -> Markup:
    """The few numbers that people look at first."""
    return element(
        "div", joined(element("div", element("b", value), element("span", name), class_="tile") for name, value in pairs), class_="tiles"
    )


def note(told: object) -> Markup:
    """A remark in small type."""
    return element("p", text(told), class_="note")
