"""What the documentation shows of each field, put into the description of the sandbox.

`x-aiwyn-evidence` on an operation says whether method and path were seen in the documentation. A field has it
if it differs from its operation: `confirmed` (a field listing), `example` (an example body alone), `prose`
(named in a sentence) or `inferred` (our guess). A response has it if its status differs in the same way.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast

import msgspec

from .shapes import Json

__all__ = ["EVIDENCE", "Facts", "Part", "annotate", "documented_errors", "facts_of", "parameter_facts"]

EVIDENCE = "x-aiwyn-evidence"
_FILE = Path(__file__).with_name("documentation.json")
_KEYWORDS = ("description", "format", "default", "enum", "minimum", "maximum")

Evidence = Literal["confirmed", "example", "prose", "inferred"]
Part = Literal["request", "response"]


class Fact(msgspec.Struct, rename={"place": "in"}):
    """What is documented of one field. Bounds and formats are those of the listing."""

    evidence: Evidence
    type: str | None = None
    description: str | None = None
    format: str | None = None
    default: Any = None
    example: Any = None
    enum: list[str] | None = None
    minimum: int | None = None
    maximum: int | None = None
    nullable: bool = False
    place: str | None = None


Facts = Mapping[str, Fact]
"""By the dotted path of the field."""


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
    """The statuses of errors that the documentation lists for an operation."""
    return _operation(method, path).errors


def facts_of(part: Part, *operations: tuple[str, str]) -> Facts:
    """The fields documented for some operations that share a schema, the first one's words first."""
    found: dict[str, Fact] = {}
    for method, path in operations:
        operation = _operation(method, path)
        for name, fact in (operation.request if part == "request" else operation.response).items():
            if fact.place is None:
                found.setdefault(name, fact)
    return found


def parameter_facts(method: str, path: str, name: str) -> Fact | None:
    """What is documented of a part of the path."""
    fact = _operation(method, path).request.get(name)
    return fact if fact is not None and fact.place == "path" else None


def annotate(schemas: Json, name: str, facts: Facts, evidence: str) -> None:
    """Add texts, examples, formats, enums and evidence to a component and to those it refers to.

    Args:
        schemas: All components, changed in place.
        name: The component.
        facts: What is documented of its fields.
        evidence: That of the operation.
    """
    _annotate(schemas, cast("Json", schemas[name]), facts, evidence, set())


def _annotate(schemas: Json, node: Json, facts: Facts, evidence: str, seen: set[str]) -> None:
    for target in _objects(schemas, node, seen):
        for name, schema in cast("dict[str, Json]", target["properties"]).items():
            fact = facts.get(name)
            shown = "inferred" if fact is None else fact.evidence
            if shown != evidence:
                schema.setdefault(EVIDENCE, shown)
            if fact is None:
                continue
            _add_keywords(schema, fact)
            _annotate(schemas, schema, _below(facts, name), evidence, seen)


def _below(facts: Facts, name: str) -> Facts:
    """The facts of the fields within a field."""
    start = f"{name}."
    return {key.removeprefix(start): fact for key, fact in facts.items() if key.startswith(start)}


def _objects(schemas: Json, node: Json, seen: set[str]) -> list[Json]:
    """The object schemas that a schema is or leads to, through references, arrays and alternatives."""
    if "$ref" in node:
        name = str(node["$ref"]).rpartition("/")[2]
        # The operators of a comparison are documented for all fields alike.
        if name in seen or name.endswith("Comparison"):
            return []
        seen.add(name)
        return _objects(schemas, schemas[name], seen)
    found = [node] if "properties" in node else []
    inner = [node["items"]] if "items" in node else []
    for child in (*inner, *node.get("anyOf", ())):
        found += _objects(schemas, child, seen)
    return found


def _add_keywords(schema: Json, fact: Fact) -> None:
    for keyword in _KEYWORDS:
        value = getattr(fact, keyword)
        # Not every instant of the sandbox has the zone that the format asks for: see `Components`.
        if value is not None and value != "date-time":
            schema.setdefault(keyword, value)
    if fact.example is not None:
        schema.setdefault("examples", [fact.example])
