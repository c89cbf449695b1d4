"""What the documentation shows of each operation, and how the description states it.

``x-aiwyn-evidence`` on an operation states whether the documentation shows its method and path. A field has
the extension if its evidence differs from that of its operation: ``confirmed`` (a field listing), ``example``
(an example body only), ``prose`` (named in a sentence) or ``inferred``. A response has it under the same
rule.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast

import msgspec

from tools.openapi.schemas import Json

__all__ = [
    "EVIDENCE",
    "Facts",
    "annotate",
    "documented_errors",
    "documented_fields",
    "documented_parameter",
]

EVIDENCE = "x-aiwyn-evidence"
_FILE = Path(__file__).with_name("documentation.json")
_KEYWORDS = ("description", "format", "default", "enum", "minimum", "maximum")


class Fact(msgspec.Struct, rename={"location": "in"}):
    """What the documentation shows of one field; bounds and formats are those of its listing."""

    evidence: Literal["confirmed", "example", "prose", "inferred"]
    type: str | None = None
    description: str | None = None
    format: str | None = None
    default: Any = None
    example: Any = None
    enum: list[str] | None = None
    minimum: int | None = None
    maximum: int | None = None
    nullable: bool = False
    location: str | None = None


Facts = Mapping[str, Fact]
"""Facts by the dotted path of the field."""


class _Operation(msgspec.Struct):
    errors: list[int] = []
    request: dict[str, Fact] = {}
    response: dict[str, Fact] = {}


class _Documentation(msgspec.Struct):
    operations: dict[str, _Operation]


@cache
def _operations() -> Mapping[str, _Operation]:
    return msgspec.json.decode(_FILE.read_bytes(), type=_Documentation).operations


def _operation(method: str, path: str) -> _Operation:
    return _operations().get(f"{method} {path}", _Operation())


def documented_errors(method: str, path: str) -> list[int]:
    """Return the error statuses that the documentation lists for an operation."""
    return _operation(method, path).errors


def documented_fields(part: str, *operations: tuple[str, str]) -> Facts:
    """Return the facts of operations that share a schema; the first operation takes precedence.

    Args:
        part: ``request`` or ``response``.
        operations: The methods and paths.
    """
    facts: dict[str, Fact] = {}
    for method, path in operations:
        operation = _operation(method, path)
        for name, fact in (operation.request if part == "request" else operation.response).items():
            if fact.location is None:
                facts.setdefault(name, fact)
    return facts


def documented_parameter(method: str, path: str, name: str) -> Fact | None:
    """Return the fact of a path parameter, or None if the documentation does not show it."""
    fact = _operation(method, path).request.get(name)
    return fact if fact is not None and fact.location == "path" else None


def annotate(schemas: Json, name: str, facts: Facts, evidence: str) -> None:
    """Add descriptions, examples, formats, enums and evidence to a schema and to those it refers to.

    Args:
        schemas: All schemas, changed in place.
        name: The name of the schema.
        facts: What is documented of its fields.
        evidence: The evidence of the operation.
    """
    _annotate(schemas, cast("Json", schemas[name]), facts, evidence, set())


def _annotate(schemas: Json, node: Json, facts: Facts, evidence: str, seen: set[str]) -> None:
    for target in _object_schemas(schemas, node, seen):
        for name, schema in cast("dict[str, Json]", target["properties"]).items():
            fact = facts.get(name)
            own_evidence = "inferred" if fact is None else fact.evidence
            if own_evidence != evidence:
                schema.setdefault(EVIDENCE, own_evidence)
            if fact is not None:
                _add_keywords(schema, fact)
                _annotate(schemas, schema, _nested_facts(facts, name), evidence, seen)


def _nested_facts(facts: Facts, name: str) -> Facts:
    start = f"{name}."
    return {key.removeprefix(start): fact for key, fact in facts.items() if key.startswith(start)}


def _object_schemas(schemas: Json, node: Json, seen: set[str]) -> list[Json]:
    """Return the object schemas that a schema is or refers to, also through arrays and alternatives."""
    if "$ref" in node:
        name = str(node["$ref"]).rpartition("/")[2]
        # Comparison operators are documented once for all fields.
        if name in seen or name.endswith("Comparison"):
            return []
        seen.add(name)
        return _object_schemas(schemas, schemas[name], seen)
    objects = [node] if "properties" in node else []
    inner = [node["items"]] if "items" in node else []
    for child in (*inner, *node.get("anyOf", ())):
        objects += _object_schemas(schemas, child, seen)
    return objects


def _add_keywords(schema: Json, fact: Fact) -> None:
    for keyword in _KEYWORDS:
        value = getattr(fact, keyword)
        # Some instants of the sandbox have no zone, which the format requires; see `Components`.
        if value is not None and value != "date-time":
            schema.setdefault(keyword, value)
    if fact.example is not None:
        schema.setdefault("examples", [fact.example])
