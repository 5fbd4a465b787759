"""What a file's name tells: named parts of it, a date, and the span of time that the file is of."""

import re
from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath
from string import Formatter
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from arraystore.errors import InvalidInput, Problem
from arraystore.ingest.mapping import FileRule, Value
from layouts.naming import escape
from layouts.times import parse_time

DATE = "date"


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What templates may name (`{symbol}`), the local midnight that the date means, and `[start, stop)` of the span, in ns UTC."""

    texts: AnyMapping[str, Value]
    midnight: datetime | None = None
    span: tuple[int, int] | None = None

    def fill(self, template: str, where: str) -> str:
        """The template with its names filled in."""
        try:
            return template.format_map(self.texts)
        except (KeyError, IndexError, ValueError, AttributeError) as error:
            known = ", ".join(f"{{{name}}}" for name in self.texts)
            what = f"{template!r} names {error}, and there are {known}: give it with --set, or a part of the file's name in file.name"
            raise InvalidInput(Problem(where, what)) from error

    def key(self, template: str, where: str) -> str:
        """The template as an address, what is filled in escaped as a part of a key."""
        escaped = Names(texts={name: escape(str(value)) if value != "" else "" for name, value in self.texts.items()})
        return escaped.fill(template, where)


def is_template(text: object) -> bool:
    """Whether a text has names to be filled in."""
    return isinstance(text, str) and "{" in text and any(name is not None for _, name, _, _ in Formatter().parse(text))


def names_of(rule: FileRule, parameters: AnyMapping[str, Value], file: str, member: str = "") -> Names:
    """The names of a file (or of a member of an archive); raises where its name isn't what the mapping wants."""
    name = PurePath(file).name
    texts: dict[str, Value] = {**parameters, "file": name, "stem": name.partition(".")[0]}
    if not rule.name:
        return Names(texts=texts)
    found = re.search(rule.name, name) or (re.search(rule.name, member) if member else None)
    if found is None:
        what = f"its name isn't of the form {rule.name!r} that the mapping wants: is it another kind of file? else rename it"
        raise InvalidInput(Problem(file, what))
    texts |= {group: text for group, text in found.groupdict().items() if text is not None}
    if DATE not in texts:
        return Names(texts=texts)
    midnight = _midnight(rule, str(texts[DATE]), file)
    return Names(texts=texts, midnight=midnight, span=_span(rule, midnight))


def _midnight(rule: FileRule, text: str, file: str) -> datetime:
    try:
        return datetime.strptime(text, rule.date).replace(tzinfo=zone_of(rule.zone, "file.zone"))
    except ValueError as error:
        raise InvalidInput(Problem(file, f"{text!r} in its name isn't a date of the form {rule.date!r} ({error})")) from error


def _span(rule: FileRule, start: datetime) -> tuple[int, int] | None:
    match rule.span:
        case None:
            return None
        case "day":
            stop = datetime.fromordinal(start.toordinal() + 1).replace(tzinfo=start.tzinfo)
        case "month":
            stop = start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
        case "year":
            stop = start.replace(year=start.year + 1)
    return parse_time(start), parse_time(stop)


def zone_of(name: str, where: str) -> ZoneInfo:
    """The IANA time zone of this name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidInput(Problem(where, f"{name!r} isn't an IANA time zone, such as America/New_York")) from error
