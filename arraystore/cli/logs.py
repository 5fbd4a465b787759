"""What the library logs, on stderr, for whoever asked for it."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import override

from arraystore.cli.output import printable
from layouts.times import format_time

__all__ = ["JsonLines", "TextLines", "logging_to_stderr"]

KNOWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """What was said beside the message, by name."""
    return {name: value for name, value in record.__dict__.items() if name not in KNOWN}


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and what else was said."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        import msgspec

        told = {
            "time": format_time(int(record.created * 1e6) * 1000),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **fields_of(record),
        }
        return msgspec.json.encode(told, enc_hook=str).decode()


class TextLines(logging.Formatter):
    """The same for people: time, level, message, and names with values."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        fields = " ".join(f"{name}={value}" for name, value in fields_of(record).items())
        time = format_time(int(record.created * 1e3) * 1_000_000)
        return printable(f"{time} {record.levelname.lower()} {record.getMessage()}{f'  {fields}' if fields else ''}")


@contextmanager
def logging_to_stderr(form: str | None, level: str) -> Iterator[None]:
    """Show what the logger `arraystore` says from this level on; nothing without a form."""
    if form is None:
        yield
        return
    logger = logging.getLogger("arraystore")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
