"""A mapping checked against the schema it fills: which target column comes from which source, read as what; every problem is told."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import msgspec
import numpy as np

from arraystore.errors import InvalidInput, Problem
from arraystore.ingest.mapping import BY_SIZE, TEXT_UNITS, UNITS, ColumnRule, Mapping, Source, Value
from arraystore.ingest.names import Names, is_template, zone_of
from layouts.columns import Column, Kind
from layouts.feeds import schema_by_name
from layouts.schema import Schema, parse_schema
from layouts.times import parse_duration, parse_time

LEVEL = "{level}"
TEXT, LABEL, BINARY, BOOL = "text", "label", "binary", "bool"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One target column, and what is known of it before any row is read."""

    column: Column
    spec: ColumnRule
    sources: tuple[Source, ...] = ()
    reads: str = TEXT
    scale: Fraction | None = None

    @property
    def where(self) -> str:
        """How messages call it."""
        origin = f" (from {self.spec.source!r})" if self.spec.source is not None else ""
        return f"column {self.column.name!r}{origin}"


def schema_from(mapping: Mapping, names: Names) -> Schema:
    """The schema that a mapping makes datasets with; options may name parts of the file's name."""
    rule = mapping.schema_rule
    if rule.columns:
        fields = {"name": rule.name, "columns": rule.columns, "axis": rule.axis, "attributes": rule.attributes}
        return parse_schema(Schema(**fields, order=rule.order, window=rule.window))  # type: ignore[arg-type]
    options = {}
    for name, value in rule.options.items():
        text = names.fill(value, f"schema.options.{name}") if is_template(value) else value
        options[name] = int(text) if is_template(value) and text.isdecimal() else text
    return schema_by_name(rule.name, **options)


def rules_of(mapping: Mapping, schema: Schema, names: Names) -> tuple[Rule, ...]:
    """One rule per column that the mapping fills; raises with every problem of all."""
    problems = [*_file_problems(mapping)]
    rules: list[Rule] = []
    levels = next((column.levels for column in schema.columns if column.levels is not None), None)
    for name, spec in mapping.columns.items():
        try:
            rules.append(_rule(schema.column(name), spec, levels))
        except InvalidInput as error:
            problems += error.problems
    missing = [column.name for column in schema.columns if not column.nullable and column.name not in mapping.columns]
    what = "isn't in the mapping, and must have a value in every row: say where it comes from"
    problems += [Problem(f"column {name!r}", what) for name in missing]
    for rule in rules:
        problems += _problems(rule, names)
    if problems:
        raise InvalidInput(problems)
    return tuple(rules)


def _file_problems(mapping: Mapping) -> Iterator[Problem]:
    rule = mapping.file
    try:
        re.compile(rule.name)
    except re.error as error:
        yield Problem("file.name", f"{rule.name!r} isn't a regular expression ({error})")
    for name, text in (("delimiter", rule.delimiter), ("quote", rule.quote), ("escape", rule.escape)):
        if len(text) > 1 or (name == "delimiter" and not text):
            yield Problem(f"file.{name}", f"{text!r} must be one character")
    if rule.header is False and not rule.columns and any(isinstance(spec.source, str) for spec in mapping.columns.values()):
        yield Problem("file.columns", "without a header, name the columns here in their order, or let `from` be their numbers")
    if rule.span and "(?P<date>" not in rule.name:
        yield Problem("file.span", "needs a group (?P<date>…) in file.name")
    if surplus := set(rule.optional) - set(rule.columns[len(rule.columns) - len(rule.optional) :]):
        yield Problem("file.optional", f"{sorted(surplus)} aren't the last of file.columns")


def _rule(column: Column, spec: ColumnRule, levels: int | None) -> Rule:
    where = f"column {column.name!r}"
    if len(spec.origins) != 1:
        what = "comes from more than one place" if spec.origins else "comes from nowhere"
        raise InvalidInput(Problem(where, f"{what}: give one of from, value, row, tally"))
    scale = None
    if spec.scale is not None:
        try:
            scale = Fraction(str(spec.scale))
        except (ValueError, ZeroDivisionError) as error:
            raise InvalidInput(Problem(where, f"the scale {spec.scale!r} isn't a number such as 0.01 or '1/32'")) from error
    return Rule(column=column, spec=spec, sources=_sources(spec, levels), reads=_reads(column, spec, scale), scale=scale)


def _sources(spec: ColumnRule, levels: int | None) -> tuple[Source, ...]:
    source = spec.tally if spec.tally is not None else spec.source
    if source is None:
        return ()
    if isinstance(source, str) and LEVEL in source and levels is not None:
        return tuple(source.replace(LEVEL, str(level)) for level in range(levels))
    return (source,)


def _reads(column: Column, spec: ColumnRule, scale: Fraction | None) -> str:
    """As what a source of text is read, so that the reader does the work; as text where some null isn't a value of that kind."""
    reads = _read_as(column, spec, scale)
    return reads if all(_is_of(value, reads) for value in spec.null) else TEXT


def _is_of(value: Value, reads: str) -> bool:
    """Whether a value of a mapping can be read as this."""
    if reads in (TEXT, LABEL, BINARY):
        return True
    try:
        if reads == BOOL:
            return str(value).lower() in ("true", "false", "0", "1")
        if reads.startswith(("int", "uint")):
            return bool(np.iinfo(reads).min <= int(str(value)) <= np.iinfo(reads).max)
        Fraction(str(value))
    except (ValueError, ZeroDivisionError):
        return False
    return True


def _read_as(column: Column, spec: ColumnRule, scale: Fraction | None) -> str:
    match column.kind:
        case Kind.TIME:
            return TEXT if spec.unit not in UNITS else "int64" if spec.unit == "ns" else f"decimal:{UNITS[spec.unit]}"
        case Kind.NUMBER | Kind.FLAGS:
            if spec.words:
                return LABEL
            return TEXT if scale is not None else "float64" if spec.tally is not None else column.dtype
        case Kind.VOCABULARY:
            return "float64" if spec.sign else LABEL
        case Kind.DECIMAL:
            return TEXT if scale is not None else f"decimal:{column.places}"
        case Kind.DICTIONARY:
            return LABEL
        case Kind.TEXT:
            return LABEL if spec.words else TEXT
        case Kind.BYTES:
            return BINARY


def _problems(rule: Rule, names: Names) -> Iterator[Problem]:
    spec, column = rule.spec, rule.column
    if column.kind is Kind.TIME:
        yield from _time_problems(rule, names)
    else:
        for field in ("unit", "format", "since", "zone", "plus"):
            if getattr(spec, field) is not None:
                yield Problem(rule.where, f"{field} is for times, and this is a column of kind {column.kind}")
    if (spec.scale is not None or spec.absolute) and column.kind not in (Kind.NUMBER, Kind.DECIMAL):
        yield Problem(rule.where, f"scale and absolute are for numbers, and this is a column of kind {column.kind}")
    if is_template(spec.value):
        try:
            names.fill(str(spec.value), rule.where)
        except InvalidInput as error:
            yield from error.problems
    if column.vocabulary and column.kind is Kind.VOCABULARY:
        meanings = {meaning for meaning, _ in column.vocabulary}
        given = [*spec.words.values(), *spec.sign.values(), *([spec.value] if isinstance(spec.value, str) else [])]
        for value in dict.fromkeys(value for value in given if value not in meanings):
            yield Problem(rule.where, f"{value!r} isn't in its vocabulary: {', '.join(sorted(meanings))}")


def _time_problems(rule: Rule, names: Names) -> Iterator[Problem]:
    spec = rule.spec
    known = (*map(str, UNITS), BY_SIZE, *TEXT_UNITS)
    if spec.source is not None and spec.unit is not None and spec.unit not in known:
        yield Problem(rule.where, f"the unit {spec.unit!r} is none of {', '.join(known)}")
    if spec.unit == "format" and not spec.format:
        yield Problem(rule.where, "say how the times are written: format = '%Y%m%d %H:%M:%S'")
    if spec.since == "date" and names.midnight is None:
        file = f", which {names.texts['file']!r} is not of" if names.form else ""
        yield Problem(rule.where, f"since = 'date' needs the date that the file's name tells, by a group (?P<date>…) in file.name{file}")
    for field, parse in (("since", parse_time), ("plus", parse_duration)):
        text = getattr(spec, field)
        if text is not None and text not in ("date", "unit"):
            try:
                parse(names.fill(text, f"{rule.where} {field}"))
            except InvalidInput as error:
                yield from (Problem(f"{rule.where} {field}", problem.what) for problem in error.problems)
    if spec.zone is not None:
        try:
            zone_of(spec.zone, f"{rule.where} zone")
        except InvalidInput as error:
            yield from error.problems


def merged_reads(rules: tuple[Rule, ...], same: tuple[str, ...]) -> dict[Source, str]:
    """As what each source column is read: as its one user wants it, and as text where several differ."""
    wanted: dict[Source, str] = {}
    for rule in rules:
        for source in rule.sources:
            wanted[source] = rule.reads if wanted.get(source, rule.reads) == rule.reads else TEXT
    for source in same:
        wanted[source] = LABEL if wanted.get(source, LABEL) == LABEL else TEXT
    return wanted


def with_parameters(mapping: Mapping, given: dict[str, str] | None) -> Mapping:
    """The mapping with parameters as the caller wants them; only those it has, or that a key may name."""
    return msgspec.structs.replace(mapping, parameters={**mapping.parameters, **(given or {})})
