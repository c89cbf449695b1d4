"""What the tools do. They raise this package's errors, whose texts say how to correct a call."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import msgspec

from aiwyn_async._http.messages import encode_json
from aiwyn_async._http.redaction import masked_words
from aiwyn_async._resources.describe import ResourceDescription
from aiwyn_async._resources.endpoint import Verb
from aiwyn_async.client import AiwynClient
from aiwyn_async.errors import AiwynError, ConfigurationError
from aiwyn_async.export import export as export_rows
from aiwyn_async.mcp._arguments import (
    DATA_NOTE,
    TOOLS,
    Count,
    Describe,
    Export,
    Get,
    Search,
    ToolArguments,
    Upsert,
)
from aiwyn_async.mcp._columns import check_columns, check_filters, check_order, check_where, columns_of
from aiwyn_async.mcp._paths import ExportFolder

# Arguments and expressions of Python that the tools do not have, in texts of errors.
_REPLACEMENTS: Final = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r", or pass allow_unknown_operators=True", ""),
        (r"for example F\.id[^{]*or (?=\{)", "for example "),
        (r"use is_null\(\) or (?=\{)", "use "),
        (r", or use contains\(\)", ""),
        (r"a date, a datetime or ISO 8601 text", "a date or time in ISO 8601"),
        (r"\bcompare with None\b", "compare with null"),
        (r" or replace=True", ""),
        (r"\b(force|resume)=True", r"\1: true"),
        (r'; pass (ids="text"|round_money=)[^;]*', "; export to a .jsonl file instead"),
    )
)


class ToolResponse(msgspec.Struct, frozen=True):
    """The text of a response, and whether it is an error."""

    text: str
    is_error: bool = False


class Tools:
    """The tools of a server, as its options allow."""

    def __init__(
        self, client: AiwynClient, *, allow_writes: bool, export_folder: ExportFolder | None, max_rows: int
    ) -> None:
        self._client = client
        self._folder = export_folder
        self._max_rows = max_rows
        self._refused: dict[str, str] = {}
        if export_folder is None:
            self._refused["export"] = "has no folder to write to; the user can name one with --export-folder"
        if not allow_writes:
            self._refused["upsert"] = "is not allowed; the user can start the server with --allow-writes"

    @property
    def allowed(self) -> dict[str, type[ToolArguments]]:
        """The tools that are served, with the types of their arguments."""
        return {name: kind for name, kind in TOOLS.items() if name not in self._refused}

    async def call(self, name: str, arguments: Mapping[str, object]) -> ToolResponse:
        """Call a tool. An error is a response that says what to correct; no response has a credential."""
        try:
            response = await self._call(name, arguments)
        except AiwynError as error:
            response = ToolResponse(_to_arguments(str(error)), is_error=True)
        return msgspec.structs.replace(response, text=_visible(self._masked(response.text)))

    def _masked(self, text: str) -> str:
        """Remove credentials that a server repeats, also from rows."""
        session = self._client._session  # noqa: SLF001 (of this package)  # pyright: ignore[reportPrivateUsage]
        return masked_words(text, session.secrets())

    async def _call(self, name: str, arguments: Mapping[str, object]) -> ToolResponse:
        if name in self._refused:
            raise ConfigurationError(f"{name} {self._refused[name]}")
        kind = TOOLS.get(name)
        if kind is None:
            raise ConfigurationError(f"unknown tool {name!r}; use one of {', '.join(self.allowed)}")
        try:
            built: Any = msgspec.convert(arguments, kind)
        except msgspec.ValidationError as error:
            known = ", ".join(field.encode_name for field in msgspec.structs.fields(kind))
            raise ConfigurationError(f"{name}: {error}; the arguments are {known}") from None
        result = await getattr(self, f"_{name}")(built)
        return result if isinstance(result, ToolResponse) else _response(result)

    async def _describe(self, arguments: Describe) -> object:
        if arguments.resource is not None:
            return _summary(self._client.describe(arguments.resource))
        summaries = [
            {"name": each.name, "key": each.key, "columns": len(each.columns), "verbs": _sources(each)}
            for each in self._client.describe()
        ]
        return {"resources": summaries, "next": "describe one of them for its columns, filters and operators"}

    async def _search(self, arguments: Search) -> object:
        resource = self._client.describe(arguments.resource)
        check_order(resource, arguments.order_by)
        verb = _verb(resource, arguments)
        check_columns(columns_of(resource, verb), arguments.columns)
        limit = self._max_rows if arguments.limit is None else min(arguments.limit, self._max_rows)
        options: dict[str, Any] = {"limit": limit, "page_size": max(limit, 1), "on_bad_row": "skip"}
        if arguments.order_by is not None:
            if arguments.filters:
                raise ConfigurationError(
                    "order_by and filters exclude each other; use where instead of filters"
                )
            options["order_by"] = arguments.order_by
        read = self._read(resource, arguments, **options)
        rows = await read.collect()
        report = read.report
        result: dict[str, Any] = {
            "note": DATA_NOTE,
            "rows_returned": len(rows),
            "rows_in_all": report.total_count,
            "more": self._advice(len(rows), limit, report.total_count),
            "problems": report.problems(),
            "fields_left_out": sorted(report.unknown_fields),
        }
        shown = {name: value for name, value in result.items() if value not in (None, [])}
        return shown | {"rows": [_pick(row, arguments.columns) for row in rows]}

    async def _get(self, arguments: Get) -> object:
        resource = self._client.describe(arguments.resource)
        check_columns(columns_of(resource, "get"), arguments.columns)
        item = await getattr(self._client, arguments.resource).get(arguments.key)
        return {"note": DATA_NOTE, "object": _pick(item, arguments.columns)}

    async def _count(self, arguments: Count) -> object:
        resource = self._client.describe(arguments.resource)
        return {"count": await self._read(resource, arguments).count()}

    async def _export(self, arguments: Export) -> object:
        if arguments.force and arguments.resume:
            raise ConfigurationError("force and resume exclude each other; pass one of them")
        if self._folder is None:  # checked before
            raise ConfigurationError(self._refused["export"])
        target = self._folder.target(arguments.path)
        resource = self._client.describe(arguments.resource)
        verb = _verb(resource, arguments)
        is_pull = verb == "search" or not resource.operators
        read = self._read(resource, arguments, pull=is_pull, on_bad_row="skip")
        check_columns(columns_of(resource, verb), arguments.columns)
        result = await export_rows(
            read,
            target,
            force=arguments.force,
            resume=arguments.resume,
            columns=arguments.columns,
            table=resource.name,
        )
        problems = result.report.problems()
        return {
            "path": str(result.path),
            "rows": result.rows,
            "bytes": result.bytes,
            "rows_in_all": result.report.total_count,
            "complete": not problems,
            "problems": problems,
        }

    async def _upsert(self, arguments: Upsert) -> ToolResponse:
        report = await self._client.records.upsert(arguments.records)
        return _response(msgspec.structs.asdict(report), is_error=not report.ok)

    def _read(
        self,
        resource: ResourceDescription,
        arguments: Search | Count | Export,
        *,
        pull: bool = False,
        **options: Any,
    ) -> Any:
        """Return the search, list or pull of a call, after the checks of its names."""
        where, filters = arguments.where, arguments.filters
        check_where(resource, where)
        check_filters(resource, filters)
        if where is not None and filters:
            raise ConfigurationError("where and filters exclude each other; add the filter to where")
        collection: Any = getattr(self._client, arguments.resource)
        if _verb(resource, arguments) == "search":
            return (collection.pull if pull else collection.search)(where, **options)
        is_typed = bool(resource.columns)
        keywords = dict(filters or {}) if is_typed else {"filters": filters}
        return (collection.pull if pull else collection.list)(**keywords, **options)

    def _advice(self, returned: int, limit: int, in_all: int | None) -> str | None:
        if returned < limit or (in_all is not None and in_all <= returned):
            return None
        of = "there may be more rows" if in_all is None else f"{returned} of {in_all} rows"
        export = ", or export to write all rows to a file" if "export" in self.allowed else ""
        return f"{of}; use a narrower where, count, a limit of up to {self._max_rows}{export}"


def _verb(resource: ResourceDescription, arguments: Search | Count | Export) -> Verb:
    """Return the verb of a read: the list with filters, or if only the list is sure to exist."""
    if arguments.filters or not resource.operators:
        return "list"
    needs_search = arguments.where is not None or getattr(arguments, "order_by", None) is not None
    return "search" if needs_search or _sources(resource).get("search") != "inferred" else "list"


def _sources(resource: ResourceDescription) -> dict[str, str]:
    return {each.name: each.source for each in resource.verbs if each.name in {"list", "search", "get"}}


def _summary(resource: ResourceDescription) -> dict[str, Any]:
    """Return a description as JSON, without empty values and what concerns Python programs alone."""
    shown = _without_empty(msgspec.to_builtins(resource))
    return {**shown, "key": resource.key, "verbs": _sources(resource)}


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        entries = cast("dict[str, Any]", value).items()
        return {
            name: _without_empty(each)
            for name, each in entries
            if name != "attribute" and (each not in (None, "", (), []))
        }
    if isinstance(value, (list, tuple)):
        return [_without_empty(each) for each in cast("list[Any]", value)]
    return value


def _pick(row: object, columns: Sequence[str] | None) -> Any:
    """Return a row with the chosen columns, by their names on the wire."""
    encoded = encode_json(row)
    if columns is None:
        return msgspec.Raw(encoded)
    values = msgspec.json.decode(encoded, type=dict[str, msgspec.Raw])
    return {name: values[name] for name in columns if name in values}


def _response(value: object, *, is_error: bool = False) -> ToolResponse:
    return ToolResponse(encode_json(value).decode(), is_error)


def _to_arguments(text: str) -> str:
    """Remove what the tools do not have from the text of an error."""
    for pattern, replacement in _REPLACEMENTS:
        text = pattern.sub(replacement, text)
    return text


def _visible(text: str) -> str:
    """Write invisible characters as JSON escapes, which keep the value of a text."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)
