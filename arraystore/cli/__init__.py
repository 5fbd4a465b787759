"""The command line: the store's verbs, for people and for scripts."""

import click

from arraystore.cli.ancestry import changes, dependents, impact, lineage, resolve, tag
from arraystore.cli.auditing import audit
from arraystore.cli.checking import verify
from arraystore.cli.command import Group
from arraystore.cli.configuration import setting
from arraystore.cli.copying import copy
from arraystore.cli.correcting import diff, replace, rm, withdraw
from arraystore.cli.glance import show_glance, tree
from arraystore.cli.hdf5 import export_hdf5, import_hdf5
from arraystore.cli.ingest import ingest
from arraystore.cli.inspection import info, log, manifest
from arraystore.cli.linting import lint
from arraystore.cli.listing import ls
from arraystore.cli.looking import coverage, gaps, stats
from arraystore.cli.maintenance import compact, expire, gc, pack, purge
from arraystore.cli.parquet import export_parquet
from arraystore.cli.pictures import plot
from arraystore.cli.policy import policy
from arraystore.cli.quarantine import quarantine
from arraystore.cli.repairing import repair
from arraystore.cli.report import report
from arraystore.cli.rows import head, sample, tail
from arraystore.cli.runs import runs
from arraystore.cli.sessions import sessions
from arraystore.cli.shells import completion, config
from arraystore.cli.starting import demo, init
from arraystore.cli.status import status
from arraystore.cli.usage import doctor, du
from layouts.classes import Role

__all__ = ["main"]


@click.group(
    "arraystore",
    cls=Group,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--root", metavar="URL", help="The store; the same as after the command's name.")
@click.option("--role", type=click.Choice([role.value for role in Role]), help="Act as this role; the same as after the command's name.")
@click.option("--json", "as_json", is_flag=True, help="Without a command: print one JSON document.")
@click.version_option(package_name="arraystore", message="%(version)s")
@click.pass_context
def main(context: click.Context, *, root: str | None, role: str | None, as_json: bool) -> None:
    """Keep and look at versioned, durable time series in plain Zarr v3.

    Without a command it shows the store at a glance. The store is told by --root, by ARRAYSTORE_ROOT, or as `root = "…"` in a
    configuration file (`arraystore config` shows it); `arraystore demo` makes one to play with.

    A dataset is addressed by its storage class and its key, as `ls` prints it: canonical/binance-usdm/trades/BTCUSDT; patterns with *
    and ? go everywhere. Every command prints text for people, or one JSON document with --json; errors go to stderr as one line.
    """
    if context.invoked_subcommand is not None:
        return
    place = root or setting("root")
    if place is None:
        click.echo(context.get_help())
        return
    show_glance(place, role or setting("role") or Role.OPERATIONS.value, as_json=as_json)


for _command in (
    init,
    demo,
    ls,
    tree,
    info,
    manifest,
    log,
    head,
    tail,
    sample,
    stats,
    coverage,
    gaps,
    plot,
    report,
    verify,
    copy,
    lint,
    repair,
    audit,
    policy,
    status,
    du,
    doctor,
    ingest,
    export_hdf5,
    import_hdf5,
    export_parquet,
    diff,
    withdraw,
    replace,
    rm,
    changes,
    dependents,
    lineage,
    impact,
    tag,
    resolve,
    runs,
    sessions,
    quarantine,
    compact,
    pack,
    expire,
    gc,
    purge,
    config,
    completion,
):
    main.add_command(_command)
