"""The description of everything the sandbox serves, as OpenAPI 3.1.

It is made from the declarations that the server serves by, and kept beside this module:

    python -m aiwyn_async.sandbox.openapi

writes `openapi.json`. It describes this sandbox, which answers as the documents of the Aiwyn API show where
they show it; `x-aiwyn-evidence` says of each operation whether its method and path were seen there
(`confirmed`) or are our inference (`inferred`). A field has it if it differs from its operation:
`confirmed`, `example` (seen in an example body alone), `prose` or `inferred`. On the status of an error it
says whether the documents list it. Examples, enums and bounds of documented fields are the documents' own.
"""

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from .books import Books
from .details import detail
from .envelope import VERSION
from .evidence import EVIDENCE, Part, annotate, documented_errors, facts_of, parameter_facts
from .records import NewRecordType, RecordsRequest, RecordTypeChanges
from .schema import RESOURCES, Resource
from .shapes import (
    DIRECTIONS,
    Components,
    Json,
    comparison_schemas,
    list_request,
    order_schemas,
    pascal,
    reference,
    search_request,
    singular,
    where_schemas,
)
from .subscriptions import NewSubscription, SubscriptionChanges
from .wire import (
    ErrorsResponse,
    EventCatalogResponse,
    FailureResponse,
    RecordsResponse,
    RecordTypeResponse,
    SecretResponse,
    SubscriptionResponse,
    TokenRequest,
    TokenResponse,
)
from .writes import DESCRIPTION_FILE, WRITE_ROUTES

__all__ = ["describe", "encoded", "main"]

_SAMPLE_SIZE = 300
_CONFIRMED = frozenset(
    {
        ("POST", "/api/v1/records"),
        ("PUT", "/api/v1/records"),
        ("POST", "/api/v1/records/custom"),
        ("PUT", "/api/v1/records/custom/{name}"),
        ("GET", "/api/v1/event-subscriptions/catalog"),
    }
    | {
        ("GET" if verb == "get" else "POST", resource.paths[verb])
        for resource in RESOURCES.values()
        for verb in resource.confirmed
    }
)
"""Method and path both seen in the documents."""

_UNDOCUMENTED_OPERATORS = ("_nlike", "_nilike", "_iregex")

_WRITES: Mapping[str, tuple[str, str, type | None, int, type, tuple[int, ...]]] = {
    "records.upsert": ("upsertRecords", "Upsert up to 100 records", RecordsRequest, 200, RecordsResponse, ()),
    "records.update": (
        "updateRecords",
        "Update up to 100 records, creating none",
        RecordsRequest,
        200,
        RecordsResponse,
        (),
    ),
    "record_types.create": (
        "createRecordType",
        "Define a custom record type",
        NewRecordType,
        201,
        RecordTypeResponse,
        (),
    ),
    "record_types.update": (
        "updateRecordType",
        "Change a custom record type",
        RecordTypeChanges,
        200,
        RecordTypeResponse,
        (404,),
    ),
    "record_types.deactivate": (
        "deactivateRecordType",
        "Deactivate a custom record type",
        None,
        200,
        RecordTypeResponse,
        (404,),
    ),
    "subscriptions.catalog": (
        "getEventCatalog",
        "What can be subscribed to",
        None,
        200,
        EventCatalogResponse,
        (),
    ),
    "subscriptions.create": (
        "createSubscription",
        "Subscribe to events",
        NewSubscription,
        201,
        SubscriptionResponse,
        (),
    ),
    "subscriptions.update": (
        "updateSubscription",
        "Change a subscription",
        SubscriptionChanges,
        200,
        SubscriptionResponse,
        (404,),
    ),
    "subscriptions.deactivate": (
        "deactivateSubscription",
        "Deactivate a subscription",
        None,
        200,
        SubscriptionResponse,
        (404,),
    ),
    "subscriptions.secret": (
        "getSubscriptionSecret",
        "The secret deliveries are signed with",
        None,
        200,
        SecretResponse,
        (404,),
    ),
}
"""Per route: operationId, summary, request, success status, answer, refusals beyond the usual ones."""

_TAGS = {"records": "Records", "record_types": "Records", "subscriptions": "Event Subscriptions"}
_PARAMETERS: Mapping[str, Json] = {
    "id": {"type": "integer", "format": "int64", "minimum": 1},
    "name": {"type": "string", "minLength": 1},
}
_REASONS = {
    400: "The request is refused",
    401: "No valid token",
    403: "The credentials do not permit this; the sandbox answers so as a planned fault only",
    404: "There is no such thing",
    413: "The body is too large",
    429: "Too many requests; `Retry-After` has the seconds",
    500: "The server failed",
    503: "The server stops",
}
_USUAL = (400, 401, 413, 429, 500, 503)


def _content(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _responses(status: int, answer: Json, more: tuple[int, ...], refusal: str) -> Json:
    found: Json = {str(status): {"description": "Done", "content": _content(answer)}}
    for code in sorted({*_USUAL, *more}):
        found[str(code)] = _refusal(code, refusal)
    return found


def _refusal(code: int, refusal: str) -> Json:
    return {"description": _REASONS[code], "content": _content(reference(refusal))}


def _with_documented_errors(method: str, path: str, responses: Json, evidence: str) -> Json:
    """The responses with those that are documented, and with the evidence of each where it is another."""
    documented = documented_errors(method, path)
    refusal = "FailureResponse" if path.startswith("/api/") else "ErrorsResponse"
    missing = [code for code in documented if str(code) not in responses]
    every = responses | {str(code): _refusal(code, refusal) for code in missing}
    for code, response in every.items():
        shown = "confirmed" if int(code) in documented else "inferred"
        if int(code) >= 400 and shown != evidence:
            response[EVIDENCE] = shown
    return dict(sorted(every.items()))


def _parameters(method: str, path: str) -> list[Json]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    found: list[Json] = []
    for name in names:
        parameter = {"name": name, "in": "path", "required": True, "schema": _PARAMETERS[name]}
        fact = parameter_facts(method, path, name)
        if fact is not None and fact.example is not None:
            parameter["example"] = fact.example
        found.append(parameter)
    return found


def _operation(
    method: str,
    path: str,
    *,
    operation_id: str,
    summary: str,
    tag: str,
    responses: Json,
    body: Json | None = None,
    body_required: bool = True,
) -> Json:
    found: Json = {"operationId": operation_id, "summary": summary, "tags": [tag]}
    if parameters := _parameters(method, path):
        found["parameters"] = parameters
    if body is not None:
        found["requestBody"] = {"required": body_required, "content": _content(body)}
    evidence = _evidence((method, path))
    responses = _with_documented_errors(method, path, responses, evidence)
    return {**found, "responses": responses, EVIDENCE: evidence}


def _evidence(*operations: tuple[str, str]) -> str:
    """Whether one of some operations was seen."""
    return "inferred" if _CONFIRMED.isdisjoint(operations) else "confirmed"


def _page(resource: Resource, row: Json) -> Json:
    count: Json = {"type": "integer", "minimum": 0}
    for key in reversed(resource.count_path):
        count = {"type": "object", "properties": {key: count}, "required": [key]}
    properties = {resource.items_key: {"type": "array", "items": row}, **count.get("properties", {})}
    return {"type": "object", "properties": properties, "required": list(properties)}


def _rows(books: Books, resource: Resource, components: Components) -> tuple[Json, Json]:
    """The components of a resource's rows and by-id objects."""
    name, ids = singular(resource.name), list(books.ids(resource))
    rows = msgspec.json.decode(b"[" + books.page_text(resource, ids) + b"]", type=list[Any])
    shown = [msgspec.json.decode(found) for i in ids if (found := detail(books, resource, i))]
    if resource.search_row:
        text = books.page_text(resource, ids, found=True)
        hits = msgspec.json.decode(b"[" + text + b"]", type=list[Any])
        components.add(f"{name}SearchRow", hits, resource.search_row)
    return (
        components.add(name, rows, resource.columns),
        components.add(f"{name}Detail", shown, resource.columns),
    )


def _read_operations(books: Books, resource: Resource, components: Components) -> Json:
    name, schemas = singular(resource.name), components.schemas
    row, one = _rows(books, resource, components)
    schemas |= where_schemas(resource) | order_schemas(resource)
    schemas[f"{name}Page"] = _page(resource, row)
    if resource.search_row:
        schemas[f"{name}SearchPage"] = _page(resource, reference(f"{name}SearchRow"))
    tag = resource.name.replace("_", " ").title()
    found: Json = {}
    requests = {"List": (resource.list_path, list_request), "Search": (resource.search_path, search_request)}
    for verb, (path, request) in requests.items():
        if path is None:
            continue
        schemas[f"{name}{verb}Request"] = request(resource)
        page = f"{name}SearchPage" if verb == "Search" and resource.search_row else f"{name}Page"
        found.setdefault(path, {})["post"] = _operation(
            "POST",
            path,
            operation_id=f"{verb.lower()}{pascal(resource.name)}",
            summary=f"{verb} {resource.name.replace('_', ' ')}",
            tag=tag,
            body=reference(f"{name}{verb}Request"),
            body_required=False,
            responses=_responses(200, reference(page), (), "ErrorsResponse"),
        )
    if resource.get_path:
        found.setdefault(resource.get_path, {})["get"] = _operation(
            "GET",
            resource.get_path,
            operation_id=f"get{name}",
            summary=f"One of the {resource.name.replace('_', ' ')}",
            tag=tag,
            responses=_responses(200, one, (404,), "ErrorsResponse"),
        )
    return found


def _annotate_reads(resource: Resource, schemas: Json) -> None:
    """Put what is documented of a resource's fields into its schemas."""
    name = singular(resource.name)
    operations = {verb: ("GET" if verb == "get" else "POST", path) for verb, path in resource.paths.items()}
    pages = {verb: found for verb, found in operations.items() if verb != "get"}
    own_row = f"{name}SearchPage" in schemas
    shared = [found for verb, found in pages.items() if verb == "list" or not own_row]
    if shared:
        annotate(schemas, f"{name}Page", facts_of("response", *shared), _evidence(*shared))
    if own_row:
        search = operations["search"]
        annotate(schemas, f"{name}SearchPage", facts_of("response", search), _evidence(search))
    if "get" in operations:
        one = operations["get"]
        annotate(schemas, f"{name}Detail", facts_of("response", one), _evidence(one))
    for verb, operation in pages.items():
        request = f"{name}{verb.title()}Request"
        annotate(schemas, request, facts_of("request", operation), _evidence(operation))


def _annotate_writes(schemas: Json) -> None:
    """Put what is documented of the fields of records and their types into their schemas."""
    for part, place in (("request", 2), ("response", 4)):
        by_schema: dict[str, list[tuple[str, str]]] = {}
        for route, write in _WRITES.items():
            schema = cast("type | None", write[place])
            if schema is not None:
                by_schema.setdefault(schema.__name__, []).append(WRITE_ROUTES[route])
        for schema_name, operations in by_schema.items():
            facts = facts_of(cast("Part", part), *operations)
            annotate(schemas, schema_name, facts, _evidence(*operations))


def _write_operations() -> Json:
    found: Json = {}
    for route, (method, path) in WRITE_ROUTES.items():
        operation_id, summary, request, status, answer, more = _WRITES[route]
        found.setdefault(path, {})[method.lower()] = _operation(
            method,
            path,
            operation_id=operation_id,
            summary=summary,
            tag=_TAGS[route.partition(".")[0]],
            body=None if request is None else reference(request.__name__),
            responses=_responses(status, reference(answer.__name__), more, "FailureResponse"),
        )
    return found


def _token_operation() -> Json:
    operation = _operation(
        "POST",
        "/v1/auth/token",
        operation_id="exchangeToken",
        summary="Exchange an API key for a bearer token",
        tag="Authentication",
        body=reference("TokenRequest"),
        responses=_responses(200, reference("TokenResponse"), (), "ErrorsResponse"),
    )
    return {"post": {**operation, "security": []}}


def _declared_schemas() -> Json:
    """The types that requests are read by and answers are described with."""
    types = {item for write in _WRITES.values() for item in (write[2], write[4]) if item is not None}
    types |= {TokenRequest, TokenResponse, ErrorsResponse, FailureResponse}
    in_order = sorted(types, key=lambda item: item.__name__)
    _, found = msgspec.json.schema_components(in_order, ref_template="#/components/schemas/{name}")
    comparisons = comparison_schemas()
    for operator in _UNDOCUMENTED_OPERATORS:
        schema = comparisons["TextComparison"]["properties"][operator]
        comparisons["TextComparison"]["properties"][operator] = {**schema, EVIDENCE: "inferred"}
    declared = {**comparisons, "OrderDirection": {"type": "string", "enum": list(DIRECTIONS)}, **found}
    return cast("Json", _with_plain_nulls(declared))


def _with_plain_nulls(node: Any) -> Any:
    """A copy with `anyOf` of a plain type and null as a list of types, which more generators read."""
    if isinstance(node, list):
        return [_with_plain_nulls(item) for item in cast("list[object]", node)]
    if not isinstance(node, dict):
        return node
    fields: Json = {key: _with_plain_nulls(value) for key, value in cast("Json", node).items()}
    choices = cast("list[Json]", fields.get("anyOf", []))
    plain = [
        choice for choice in choices if choice != {"type": "null"} and isinstance(choice.get("type"), str)
    ]
    if len(choices) != 2 or len(plain) != 1 or {"type": "null"} not in choices:
        return fields
    del fields["anyOf"]
    return {**fields, **plain[0], "type": [plain[0]["type"], "null"]}


def describe() -> Json:
    """The whole description. It makes a small firm to read the shapes of its by-id objects off."""
    books = Books(invoices=_SAMPLE_SIZE, seed=7)
    books.open()
    components = Components()
    paths: Json = {"/v1/auth/token": _token_operation()}
    try:
        for resource in RESOURCES.values():
            for path, operations in _read_operations(books, resource, components).items():
                paths.setdefault(path, {}).update(operations)
    finally:
        books.close()
    # Through JSON, for no two fields to share a schema that is changed.
    schemas = msgspec.json.decode(msgspec.json.encode({**components.schemas, **_declared_schemas()}))
    for resource in RESOURCES.values():
        _annotate_reads(resource, schemas)
    _annotate_writes(schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Aiwyn API sandbox", "version": VERSION, "description": (__doc__ or "").strip()},
        "servers": [{"url": "http://127.0.0.1:8080", "description": "`python -m aiwyn_async.sandbox`"}],
        "security": [{"bearer": []}],
        "paths": paths | _write_operations(),
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            "schemas": dict(sorted(schemas.items())),
        },
    }


def encoded() -> bytes:
    """The description as the file holds it."""
    return msgspec.json.format(msgspec.json.encode(describe()), indent=1) + b"\n"


def main() -> None:
    """Write the description to its file."""
    DESCRIPTION_FILE.write_bytes(encoded())


if __name__ == "__main__":
    main()
