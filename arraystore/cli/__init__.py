"""The command line: the store's verbs, for people and for scripts."""

import click

from arraystore.cli.ancestry import changes, dependents, impact, lineage, resolve, tag
from arraystore.cli.auditing import audit
from arraystore.cli.checking import verify
from arraystore.cli.command import Group
from arraystore.cli.copying import copy
from arraystore.cli.correcting import diff, replace, rm, withdraw
from arraystore.cli.hdf5 import export_hdf5, import_hdf5
from arraystore.cli.ingest import ingest
from arraystore.cli.inspection import info, log, manifest
from arraystore.cli.linting import lint
from arraystore.cli.listing import ls
from arraystore.cli.maintenance import compact, expire, gc, pack, purge
from arraystore.cli.pictures import plot
from arraystore.cli.policy import policy
from arraystore.cli.quarantine import quarantine
from arraystore.cli.repairing import repair
from arraystore.cli.rows import head
from arraystore.cli.runs import runs
from arraystore.cli.sessions import sessions
from arraystore.cli.starting import demo, init
from arraystore.cli.status import status

__all__ = ["main"]


@click.group("arraystore", cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="arraystore", message="%(version)s")
def main() -> None:
    """Keep and look at versioned, durable time series in plain Zarr v3.

    A dataset is addressed by its storage class and its key, as `ls` prints it: canonical/binance-usdm/trades/BTCUSDT.
    Every command prints text for people, or one JSON document with --json; errors go to stderr as one line.
    """


for _command in (
    init,
    demo,
    ls,
    info,
    manifest,
    log,
    head,
    plot,
    verify,
    copy,
    lint,
    repair,
    audit,
    policy,
    status,
    ingest,
    export_hdf5,
    import_hdf5,
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
):
    main.add_command(_command)
