"""The operations of the description, and the evidence of their schemas."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from aiwyn_async.sandbox._data.database import Database
from aiwyn_async.sandbox._data.record_types import NewRecordType, RecordTypeChanges
from aiwyn_async.sandbox._data.records import RecordsRequest
from aiwyn_async.sandbox._declarations.declarations import Resource
from aiwyn_async.sandbox._declarations.schema import RESOURCES
from aiwyn_async.sandbox._events.subscriptions import NewSubscription, SubscriptionChanges
from aiwyn_async.sandbox._http.handlers import get_one
from aiwyn_async.sandbox._http.write_routes import WRITE_ROUTES
from tools.openapi.evidence import (
    EVIDENCE,
    annotate,
    documented_errors,
    documented_fields,
    documented_parameter,
)
from tools.openapi.response_types import (
    EventCatalogResponse,
    RecordsResponse,
    RecordTypeResponse,
    SecretResponse,
    SubscriptionResponse,
)
from tools.openapi.schemas import (
    Components,
    Json,
    list_request,
    order_schemas,
    pascal_case,
    reference,
    search_request,
    singular_name,
    where_schemas,
)

__all__ = [
    "WRITES",
    "annotate_read_schemas",
    "annotate_write_schemas",
    "read_operations",
    "token_operation",
    "write_operations",
]


class Write(NamedTuple):
    """A route that writes; ``errors`` are its statuses besides the usual ones."""

    operation_id: str
    summary: str
    request: type | None
    response: type
    status: int = 200
    errors: tuple[int, ...] = ()


WRITES: Mapping[str, Write] = {
    "records.upsert": Write("upsertRecords", "Upsert up to 100 records", RecordsRequest, RecordsResponse),
    "records.update": Write(
        "updateRecords", "Update up to 100 existing records", RecordsRequest, RecordsResponse
    ),
    "record_types.create": Write(
        "createRecordType", "Define a custom record type", NewRecordType, RecordTypeResponse, status=201
    ),
    "record_types.update": Write(
        "updateRecordType",
        "Change a custom record type",
        RecordTypeChanges,
        RecordTypeResponse,
        errors=(404,),
    ),
    "record_types.deactivate": Write(
        "deactivateRecordType", "Deactivate a custom record type", None, RecordTypeResponse, errors=(404,)
    ),
    "subscriptions.catalog": Write(
        "getEventCatalog", "List the entity types of events", None, EventCatalogResponse
    ),
    "subscriptions.create": Write(
        "createSubscription", "Subscribe to events", NewSubscription, SubscriptionResponse, status=201
    ),
    "subscriptions.update": Write(
        "updateSubscription",
        "Change a subscription",
        SubscriptionChanges,
        SubscriptionResponse,
        errors=(404,),
    ),
    "subscriptions.deactivate": Write(
        "deactivateSubscription", "Deactivate a subscription", None, SubscriptionResponse, errors=(404,)
    ),
    "subscriptions.secret": Write(
        "getSubscriptionSecret",
        "Get the signing secret of a subscription",
        None,
        SecretResponse,
        errors=(404,),
    ),
}

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
"""The operations whose method and path the documentation shows."""
_TAGS = {"records": "Records", "record_types": "Records", "subscriptions": "Event Subscriptions"}
_PARAMETERS: Mapping[str, Json] = {
    "id": {"type": "integer", "format": "int64", "minimum": 1},
    "name": {"type": "string", "minLength": 1},
}
_ERRORS = {
    400: "The request is not valid",
    401: "The bearer token is missing or not valid",
    403: "The credentials do not permit the operation; the sandbox sends this as a planned fault only",
    404: "The object does not exist",
    413: "The body is too large",
    429: "Too many requests; `Retry-After` holds the seconds to wait",
    500: "The server failed",
    503: "The server is stopping",
}
_USUAL_ERRORS = (400, 401, 413, 429, 500, 503)


def _content(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _responses(response: Json, *, error: str, status: int = 200, errors: tuple[int, ...] = ()) -> Json:
    responses: Json = {str(status): {"description": "Success", "content": _content(response)}}
    return responses | {str(code): _error(code, error) for code in sorted({*_USUAL_ERRORS, *errors})}


def _error(status: int, schema: str) -> Json:
    return {"description": _ERRORS[status], "content": _content(reference(schema))}


def _add_documented_errors(method: str, path: str, responses: Json, evidence: str) -> Json:
    """Return the responses and the documented ones, each with its evidence if that differs."""
    documented = documented_errors(method, path)
    schema = "FailureResponse" if path.startswith("/api/") else "ErrorsResponse"
    missing = [status for status in documented if str(status) not in responses]
    responses = responses | {str(status): _error(status, schema) for status in missing}
    for status, response in responses.items():
        own_evidence = "confirmed" if int(status) in documented else "inferred"
        if int(status) >= 400 and own_evidence != evidence:
            response[EVIDENCE] = own_evidence
    return dict(sorted(responses.items()))


def _parameters(method: str, path: str) -> list[Json]:
    parameters: list[Json] = []
    for name in (part[1:-1] for part in path.split("/") if part.startswith("{")):
        parameter = {"name": name, "in": "path", "required": True, "schema": _PARAMETERS[name]}
        fact = documented_parameter(method, path, name)
        if fact is not None and fact.example is not None:
            parameter["example"] = fact.example
        parameters.append(parameter)
    return parameters


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
    operation: Json = {"operationId": operation_id, "summary": summary, "tags": [tag]}
    if parameters := _parameters(method, path):
        operation["parameters"] = parameters
    if body is not None:
        operation["requestBody"] = {"required": body_required, "content": _content(body)}
    evidence = _evidence((method, path))
    responses = _add_documented_errors(method, path, responses, evidence)
    return {**operation, "responses": responses, EVIDENCE: evidence}


def _evidence(*operations: tuple[str, str]) -> str:
    return "inferred" if _CONFIRMED.isdisjoint(operations) else "confirmed"


def _page_schema(resource: Resource, row: Json) -> Json:
    count: Json = {"type": "integer", "minimum": 0}
    for key in reversed(resource.count_path):
        count = {"type": "object", "properties": {key: count}, "required": [key]}
    properties = {resource.items_key: {"type": "array", "items": row}, **count.get("properties", {})}
    return {"type": "object", "properties": properties, "required": list(properties)}


def _add_row_schemas(database: Database, resource: Resource, components: Components) -> tuple[Json, Json]:
    """Add the schemas of rows and by-id objects, and return the references to them."""
    name, ids = singular_name(resource.name), list(database.ids(resource))

    def rows(*, search: bool) -> list[Any]:
        return msgspec.json.decode(
            b"[" + database.rows_json(resource, ids, search=search) + b"]", type=list[Any]
        )

    details = [msgspec.json.decode(get_one(database, resource, str(row_id))) for row_id in ids]
    if resource.search_row:
        components.add(f"{name}SearchRow", rows(search=True), resource.search_row)
    return (
        components.add(name, rows(search=False), resource.columns),
        components.add(f"{name}Detail", details, resource.columns),
    )


def read_operations(database: Database, resource: Resource, components: Components) -> Json:
    """Return the read operations of a resource by path, and add their schemas to ``components``."""
    name, schemas = singular_name(resource.name), components.schemas
    row, detail = _add_row_schemas(database, resource, components)
    schemas |= where_schemas(resource) | order_schemas(resource)
    schemas[f"{name}Page"] = _page_schema(resource, row)
    if resource.search_row:
        schemas[f"{name}SearchPage"] = _page_schema(resource, reference(f"{name}SearchRow"))
    words = resource.name.replace("_", " ")
    operations: Json = {}
    for verb, request in (("List", list_request), ("Search", search_request)):
        path = resource.paths.get(verb.lower())
        if path is None:
            continue
        schemas[f"{name}{verb}Request"] = request(resource)
        page = f"{name}SearchPage" if verb == "Search" and resource.search_row else f"{name}Page"
        operations.setdefault(path, {})["post"] = _operation(
            "POST",
            path,
            operation_id=f"{verb.lower()}{pascal_case(resource.name)}",
            summary=f"{verb} {words}",
            tag=words.title(),
            body=reference(f"{name}{verb}Request"),
            body_required=False,
            responses=_responses(reference(page), error="ErrorsResponse"),
        )
    if get_path := resource.paths.get("get"):
        operations.setdefault(get_path, {})["get"] = _operation(
            "GET",
            get_path,
            operation_id=f"get{name}",
            summary=f"Get one of the {words}",
            tag=words.title(),
            responses=_responses(detail, error="ErrorsResponse", errors=(404,)),
        )
    return operations


def annotate_read_schemas(resource: Resource, schemas: Json) -> None:
    """Add what is documented of a resource's fields to its schemas."""
    name = singular_name(resource.name)
    operations = {verb: ("GET" if verb == "get" else "POST", path) for verb, path in resource.paths.items()}
    pages = {verb: operation for verb, operation in operations.items() if verb != "get"}
    has_search_row = f"{name}SearchPage" in schemas
    shared = [operation for verb, operation in pages.items() if verb == "list" or not has_search_row]
    responses = {f"{name}Page": shared}
    if has_search_row:
        responses[f"{name}SearchPage"] = [operations["search"]]
    if "get" in operations:
        responses[f"{name}Detail"] = [operations["get"]]
    for schema, sources in responses.items():
        if sources:
            annotate(schemas, schema, documented_fields("response", *sources), _evidence(*sources))
    for verb, operation in pages.items():
        schema = f"{name}{verb.title()}Request"
        annotate(schemas, schema, documented_fields("request", operation), _evidence(operation))


def annotate_write_schemas(schemas: Json) -> None:
    """Add what is documented of the fields of writes to their schemas."""
    for part in ("request", "response"):
        by_schema: dict[str, list[tuple[str, str]]] = {}
        for route, write in WRITES.items():
            schema = write.request if part == "request" else write.response
            if schema is not None:
                by_schema.setdefault(schema.__name__, []).append(WRITE_ROUTES[route])
        for schema_name, operations in by_schema.items():
            annotate(schemas, schema_name, documented_fields(part, *operations), _evidence(*operations))


def write_operations() -> Json:
    """Return the operations that write, by path."""
    operations: Json = {}
    for route, (method, path) in WRITE_ROUTES.items():
        write = WRITES[route]
        operations.setdefault(path, {})[method.lower()] = _operation(
            method,
            path,
            operation_id=write.operation_id,
            summary=write.summary,
            tag=_TAGS[route.partition(".")[0]],
            body=None if write.request is None else reference(write.request.__name__),
            responses=_responses(
                reference(write.response.__name__),
                error="FailureResponse",
                status=write.status,
                errors=write.errors,
            ),
        )
    return operations


def token_operation() -> Json:
    """Return the token exchange."""
    operation = _operation(
        "POST",
        "/v1/auth/token",
        operation_id="exchangeToken",
        summary="Exchange an API key for a bearer token",
        tag="Authentication",
        body=reference("TokenRequest"),
        responses=_responses(reference("TokenResponse"), error="ErrorsResponse"),
    )
    return {"post": {**operation, "security": []}}
