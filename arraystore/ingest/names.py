"""What a file's name tells: named parts of it, a date, and the span of time that the file is of."""

import re
from collections.abc import Mapping as AnyMapping
from contextlib import suppress
from dataclasses import dataclass, replace
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
    form: str = ""

    def fill(self, template: str, where: str) -> str:
        """The template with its names filled in."""
        try:
            return template.format_map(self.texts)
        except (KeyError, IndexError, ValueError, AttributeError) as error:
            known = ", ".join(f"{{{name}}}" for name in self.texts)
            formed = f"; its name isn't of the form {self.form!r} that tells more" if self.form else ""
            what = f"{template!r} names {error}, and of {self.texts.get('file', 'it')} there are {known}{formed}"
            raise InvalidInput(Problem(where, f"{what}: rename the file, or give it as a parameter (--set)")) from error

    def with_texts(self, texts: AnyMapping[str, Value]) -> "Names":
        """With more names, or others."""
        return replace(self, texts={**self.texts, **texts}) if texts else self

    def key(self, template: str, where: str) -> str:
        """The template as an address, what is filled in escaped as a part of a key."""
        escaped = {name: escape(str(value)) if value != "" else "" for name, value in self.texts.items()}
        return Names(texts=escaped, form=self.form).fill(template, where)


def is_template(text: object) -> bool:
    """Whether a text has names to be filled in."""
    return isinstance(text, str) and "{" in text and any(name is not None for _, name, _, _ in Formatter().parse(text))


def names_of(rule: FileRule, parameters: AnyMapping[str, Value], file: str, member: str = "") -> Names:
    """The names of a file (or of a member of an archive); only the parameters' where it is of another form than the mapping's."""
    name = PurePath(file).name
    texts: dict[str, Value] = {**parameters, "file": name, "stem": name.partition(".")[0]}
    if not rule.name:
        return Names(texts=texts)
    found = re.search(rule.name, name) or (re.search(rule.name, member) if member else None)
    if found is None:
        return Names(texts=texts, form=rule.name)
    texts |= {group: text for group, text in found.groupdict().items() if text is not None}
    if DATE not in texts:
        return Names(texts=texts)
    forms = (rule.date,) if isinstance(rule.date, str) else rule.date
    for form in forms:
        with suppress(ValueError):
            midnight = datetime.strptime(str(texts[DATE]), form).replace(tzinfo=zone_of(rule.zone, "file.zone"))
            return Names(texts=texts, midnight=midnight, span=_span(form, midnight) if rule.span else None)
    raise InvalidInput(Problem(file, f"{texts[DATE]!r} in its name isn't a date of the form {' or '.join(forms)}"))


def _span(form: str, start: datetime) -> tuple[int, int]:
    """The day, month or year that a date of this form means."""
    if "%d" in form or "%j" in form:
        stop = datetime.fromordinal(start.toordinal() + 1).replace(tzinfo=start.tzinfo)
    elif "%m" in form or "%b" in form:
        stop = start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
    else:
        stop = start.replace(year=start.year + 1)
    return parse_time(start), parse_time(stop)


def zone_of(name: str, where: str) -> ZoneInfo:
    """The IANA time zone of this name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidInput(Problem(where, f"{name!r} isn't an IANA time zone, such as America/New_York")) from error
