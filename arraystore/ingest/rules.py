"""A mapping checked against the schema it fills: which target column comes from which source, read as what; every problem is told."""

import re
from fractions import Fraction

import msgspec
import numpy as np

from arraystore.errors import InvalidInput, Problem
from arraystore.ingest.checks import TEXT, Rule, file_problems, rule_problems
from arraystore.ingest.mapping import UNITS, ColumnRule, FileRule, Mapping, Source, Value
from arraystore.ingest.names import Names, is_template
from layouts.columns import Column, Kind
from layouts.feeds import schema_by_name
from layouts.schema import Schema, parse_schema

LEVEL = re.compile(r"\{level(:0?\d)?\}")
FILLED = ("unit", "format", "zone", "scale")
LABEL, BINARY, BOOL = "label", "binary", "bool"


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
    problems = [*file_problems(mapping)]
    rules: list[Rule] = []
    levels = next((column.levels for column in schema.columns if column.levels is not None), None)
    for name, spec in mapping.columns.items():
        try:
            rules.append(_rule(schema.column(name), _filled(spec, names, name), levels, mapping.file))
        except InvalidInput as error:
            problems += error.problems
    missing = [column.name for column in schema.columns if not column.nullable and column.name not in mapping.columns]
    what = "isn't in the mapping, and must have a value in every row: say where it comes from"
    problems += [Problem(f"column {name!r}", what) for name in missing]
    for rule in rules:
        problems += rule_problems(rule, names)
    if problems:
        raise InvalidInput(problems)
    return tuple(rules)


def _filled(spec: ColumnRule, names: Names, column: str) -> ColumnRule:
    """The rule with parameters and parts of the file's name put in."""
    texts = {name: names.fill(text, f"column {column!r} {name}") for name in FILLED if is_template(text := getattr(spec, name))}
    return msgspec.structs.replace(spec, **texts) if texts else spec


def _rule(column: Column, spec: ColumnRule, levels: int | None, file: FileRule) -> Rule:
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
    numeric = column.kind in (Kind.NUMBER, Kind.FLAGS, Kind.DECIMAL) or bool(spec.sign)
    reads = TEXT if isinstance(spec.source, tuple) or spec.pad or (file.thousands and numeric) else _reads(column, spec, scale)
    marks = {"decimal": file.decimal, "thousands": file.thousands}
    return Rule(column=column, spec=spec, sources=_sources(spec, levels), reads=reads, scale=scale, **marks)


def _sources(spec: ColumnRule, levels: int | None) -> tuple[Source, ...]:
    source = spec.tally if spec.tally is not None else spec.source
    if source is None:
        return ()
    if isinstance(source, tuple):
        return tuple(part for part in source if not is_template(part))
    if isinstance(source, str) and LEVEL.search(source) and levels is not None:
        return tuple(LEVEL.sub(lambda found: found[0].format(level=level), source) for level in range(levels))  # noqa: B023 - used at once
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
            return TEXT if spec.unit not in UNITS or spec.round else "int64" if spec.unit == "ns" else f"decimal:{UNITS[spec.unit]}"
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


def merged_reads(rules: tuple[Rule, ...], labels: tuple[str, ...]) -> dict[Source, str]:
    """As what each source column is read: as its one user wants it, and as text where several differ; `labels` are read beside."""
    wanted: dict[Source, str] = {}
    for rule in rules:
        for source in rule.sources:
            wanted[source] = rule.reads if wanted.get(source, rule.reads) == rule.reads else TEXT
    for source in labels:
        wanted[source] = LABEL if wanted.get(source, LABEL) == LABEL else TEXT
    return wanted


def with_parameters(mapping: Mapping, given: dict[str, str] | None) -> Mapping:
    """The mapping with parameters as the caller wants them; only those it has, or that a key may name."""
    return msgspec.structs.replace(mapping, parameters={**mapping.parameters, **(given or {})})
