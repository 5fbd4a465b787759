"""`init` and `demo`: a store to begin with."""

import click

from arraystore.cli.command import command, root_option
from arraystore.cli.output import facts, print_json
from arraystore.errors import InvalidInput, Problem
from layouts.classes import StorageClass

__all__ = ["demo", "init"]


@command(
    "init",
    examples=[
        "arraystore init --root data",
        "arraystore init --root data --class-root raw=/mnt/tapes/raw --class-root derived=s3://bucket/derived",
    ],
)
@root_option
@click.option(
    "--class-root",
    "class_roots",
    metavar="CLASS=PLACE",
    multiple=True,
    help="Put a storage class elsewhere: a path below the root, an absolute path, or a URL. Only possible now.",
)
def init(*, root: str, class_roots: tuple[str, ...], as_json: bool) -> None:
    """Make a store.

    A root for each storage class; a store that exists stays as it is.

    Each class may have its own directory, bucket or prefix; the map is written now and never again.
    """
    from arraystore.store import init_store, open_store

    init_store(root, roots=_parse_roots(class_roots))
    store = open_store(root, role="operations")
    places = {str(storage_class): store.surface(storage_class).url for storage_class in StorageClass}
    if as_json:
        print_json({"store": store.url, "uuid": store.uuid, "classes": places})
        return
    facts([("store", store.url), ("uuid", store.uuid), *places.items()])


def _parse_roots(options: tuple[str, ...]) -> dict[str, str]:
    """The class map that the options spell out; every one that can't be read is a problem."""
    roots: dict[str, str] = {}
    problems: list[Problem] = []
    for option in options:
        name, _, place = option.partition("=")
        if name not in set(StorageClass) or not place:
            problems.append(Problem(f"--class-root {option!r}", f"give CLASS=PLACE, CLASS being one of {', '.join(StorageClass)}"))
        elif name in roots:
            problems.append(Problem(f"--class-root {option!r}", f"{name} has been given {roots[name]!r} already; keep one"))
        else:
            roots[name] = place
    if problems:
        raise InvalidInput(problems)
    return roots


@command("demo", examples=["arraystore demo", "arraystore demo --root /tmp/demo --capture btcusdt_20240808.gz"])
def demo(*, as_json: bool) -> None:
    """Play every role on market data.

    Recorded or simulated; ends with a table of what lies where.
    """
