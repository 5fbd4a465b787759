"""What may be wrong with a mapping, all of it told before any file is read."""

import codecs
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from arraystore.errors import InvalidInput, Problem
from arraystore.ingest.mapping import BY_SIZE, DAYS, TEXT_UNITS, UNITS, ColumnRule, FileRule, Mapping, Source
from arraystore.ingest.names import Names, is_template, zone_of
from layouts.columns import Column, Kind
from layouts.times import parse_duration, parse_time

TEXT = "text"
YEARS, DAYS_OF_YEARS = frozenset("YyGcxDF"), frozenset("mdjbBUWVaAuw")  # directives of strptime


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One target column, and what is known of it before any row is read."""

    column: Column
    spec: ColumnRule
    sources: tuple[Source, ...] = ()
    reads: str = TEXT
    scale: Fraction | None = None
    decimal: str = "."
    thousands: str = ""

    @property
    def where(self) -> str:
        """How messages call it."""
        origin = f" (from {self.spec.source!r})" if self.spec.source is not None else ""
        return f"column {self.column.name!r}{origin}"


def file_problems(mapping: Mapping) -> Iterator[Problem]:
    """What is wrong with `[file]`."""
    rule = mapping.file
    yield from _letter_problems(rule)
    for name, text in (("name", rule.name), ("lines", rule.lines)):
        try:
            re.compile(text)
        except re.error as error:
            yield Problem(f"file.{name}", f"{text!r} isn't a regular expression ({error})")
    try:
        codecs.lookup(rule.encoding)
    except LookupError:
        yield Problem("file.encoding", f"{rule.encoding!r} is no encoding that Python knows, such as utf-8, latin-1 or utf-16")
    if rule.header is False and not rule.columns and any(isinstance(spec.source, str) for spec in mapping.columns.values()):
        yield Problem("file.columns", "without a header, name the columns here in their order, or let `from` be their numbers")
    if rule.span and "(?P<date>" not in rule.name:
        yield Problem("file.span", "needs a group (?P<date>…) in file.name")
    if surplus := set(rule.optional) - set(rule.columns[len(rule.columns) - len(rule.optional) :]):
        yield Problem("file.optional", f"{sorted(surplus)} aren't the last of file.columns")
    if rule.skip < 0:
        yield Problem("file.skip", f"{rule.skip} isn't a number of lines, from 0 up")


def _letter_problems(rule: FileRule) -> Iterator[Problem]:
    for name, text in (("delimiter", rule.delimiter), ("quote", rule.quote), ("escape", rule.escape), ("decimal", rule.decimal)):
        if len(text) > 1 or (name in ("delimiter", "decimal") and not text):
            yield Problem(f"file.{name}", f"{text!r} must be one character")
    if rule.decimal in rule.thousands:
        yield Problem("file.decimal", f"{rule.decimal!r} can't be one of file.thousands ({rule.thousands!r}) too")
    if rule.decimal == rule.delimiter and not rule.quote:
        yield Problem("file.decimal", f"{rule.decimal!r} is the delimiter too")


def rule_problems(rule: Rule, names: Names) -> Iterator[Problem]:
    """What is wrong with the rule of a column."""
    spec, column = rule.spec, rule.column
    if column.kind is Kind.TIME:
        yield from _time_problems(rule, names)
    else:
        for field in ("unit", "format", "since", "zone", "plus", "round"):
            if getattr(spec, field) is not None:
                yield Problem(rule.where, f"{field} is for times, and this is a column of kind {column.kind}")
    if (spec.scale is not None or spec.absolute) and column.kind not in (Kind.NUMBER, Kind.DECIMAL):
        yield Problem(rule.where, f"scale and absolute are for numbers, and this is a column of kind {column.kind}")
    yield from _source_problems(rule, names)
    if column.vocabulary and column.kind is Kind.VOCABULARY:
        meanings = {meaning for meaning, _ in column.vocabulary}
        said = (spec.value, spec.other)
        given = [*spec.words.values(), *spec.sign.values(), *(value for value in said if isinstance(value, str))]
        for value in dict.fromkeys(value for value in given if value not in meanings):
            yield Problem(rule.where, f"{value!r} isn't in its vocabulary: {', '.join(sorted(meanings))}")


def _source_problems(rule: Rule, names: Names) -> Iterator[Problem]:
    spec, levels = rule.spec, rule.column.levels
    for part in spec.source if isinstance(spec.source, tuple) else (spec.value,):
        if is_template(part):
            yield from _raised(lambda text: names.fill(text, rule.where), str(part))
    if isinstance(spec.source, tuple) and not rule.sources:
        yield Problem(rule.where, "comes from no column at all: give value for what is the same in every row")
    if spec.other is not None and not spec.words:
        yield Problem(rule.where, "other is for what words don't name: give words, or value for what is the same in every row")
    if levels is not None and rule.sources and len(rule.sources) != levels:
        yield Problem(rule.where, f"has {levels} levels: name their columns with {{level}}, which counts them from 0")


def _time_problems(rule: Rule, names: Names) -> Iterator[Problem]:
    spec = rule.spec
    known = (*map(str, UNITS), DAYS, BY_SIZE, *TEXT_UNITS)
    if spec.source is not None and spec.unit is not None and spec.unit not in known:
        yield Problem(rule.where, f"the unit {spec.unit!r} is none of {', '.join(known)}")
    if spec.unit == "format" and not spec.format:
        yield Problem(rule.where, "say how the times are written: format = '%Y%m%d %H:%M:%S'")
    yield from _form_problems(rule)
    if spec.since == "date" and names.midnight is None:
        file = f", which {names.texts['file']!r} is not of" if names.form else ""
        yield Problem(rule.where, f"since = 'date' needs the date that the file's name tells, by a group (?P<date>…) in file.name{file}")
    for field, parse in (("since", parse_time), ("plus", parse_duration), ("round", parse_duration)):
        text = getattr(spec, field)
        if text is not None and text not in ("date", "unit"):
            where = f"{rule.where} {field}"
            filled, problems = _filled(text, names, where)
            yield from problems or (Problem(where, problem.what) for problem in _raised(parse, filled))
    if spec.zone is not None:
        yield from _raised(lambda zone: zone_of(zone, f"{rule.where} zone"), spec.zone)
    yield from _round_problems(rule)


def _form_problems(rule: Rule) -> Iterator[Problem]:
    """A form must name its year, or else none of a date, being of times of day."""
    form, since = rule.spec.format, rule.spec.since
    if rule.spec.unit != "format" or not form:
        return
    named = set(re.findall(r"%(.)", form))
    if since is None and not named & YEARS:
        what = f"the form {form!r} names no year: give since = 'date' or a day to times of day, or join the column of the date to it"
        yield Problem(rule.where, f"{what} (from = ['date', 'time'])")
    if since is not None and (dated := sorted(named & (YEARS | DAYS_OF_YEARS))):
        what = f"the form {form!r} names a date (%{dated[0]}), and since = {since!r} is for times of day: leave out one of them"
        yield Problem(rule.where, what)


def _filled(text: str, names: Names, where: str) -> tuple[str, tuple[Problem, ...]]:
    problems = _raised(lambda text: names.fill(text, where), text)
    return text if problems else names.fill(text, where), problems


def _round_problems(rule: Rule) -> Iterator[Problem]:
    spec = rule.spec
    if spec.round is None:
        return
    if spec.unit not in (*UNITS, DAYS):
        yield Problem(rule.where, f"round is for counts of a unit ({', '.join(map(str, UNITS))}, {DAYS}), and the unit is {spec.unit!r}")
    if not spec.round.strip("0nusmhd"):
        yield Problem(rule.where, f"can't round to {spec.round!r}, which is no time at all: give a step such as '1us'")


def _raised(check: Callable[[str], Any], text: str) -> tuple[Problem, ...]:
    """The problems that a check of a text raises."""
    try:
        check(text)
    except InvalidInput as error:
        return tuple(error.problems)
    return ()
