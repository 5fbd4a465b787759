"""The live process that gets killed: it trades without an end, and tells every sequence number once its record is durable."""

import sys

import arraystore
from arraystore.demo.live import Trader

ENDLESS = 1 << 30


def main(arguments: list[str]) -> None:
    """Trade until killed."""
    root, session_id, instrument = arguments
    trader = Trader(arraystore.open_store(root, role="live"), session_id, instrument)
    for sequence in trader.trade(0, ENDLESS):
        sys.stdout.write(f"{sequence}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
