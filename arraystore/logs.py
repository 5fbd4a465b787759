"""What is told through `logging`, under the logger `arraystore`: quiet until somebody adds a handler, and next to free till then.

Events are short words, which stay the same, and what they are about is in the record's attributes (`dataset`, `version`, `seconds` …):

========================  =========  =================================================================================
event                     level      when
========================  =========  =================================================================================
commit                    INFO       a version is durable and visible
race lost                 DEBUG      another writer was first; this one decides again
slow commit               WARNING    making a version durable took longer than a second
conflict                  WARNING    what a call's plan stood on was changed by another writer, and it gives up
plan expired              WARNING    segments fell below a garbage floor while they were written, and are written again
compacted                 INFO       segments and tails became fewer segments
garbage removed           INFO       what no version names is gone
purged                    WARNING    rows were taken out of every version
access refused            WARNING    a role asked for what the access matrix doesn't allow
========================  =========  =================================================================================
"""

import logging
from typing import Any

ROOT = "arraystore"

logging.getLogger(ROOT).addHandler(logging.NullHandler())  # else Python would print warnings where nobody asked for any

LOGGER = logging.getLogger(ROOT)


def tell(level: int, event: str, **fields: Any) -> None:
    """Log an event, if anybody listens."""
    if LOGGER.isEnabledFor(level):
        LOGGER.log(level, event, extra=fields)
