"""Descriptions of resources, derived from their declarations."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, Literal, Union, overload

import msgspec

from aiwyn_async._core.checks import shown
from aiwyn_async._decoding.plain_types import is_struct
from aiwyn_async._resources.collection import Collection
from aiwyn_async._resources.docstrings import field_meanings, section_entries
from aiwyn_async._resources.endpoint import Verb
from aiwyn_async._resources.searchable import SearchableCollection
from aiwyn_async.config import Config
from aiwyn_async.errors import ConfigurationError
from aiwyn_async.filters._validation import OPERATORS

PathSource = Literal["documented", "inferred", "configured"]

_WORDS: Final[Mapping[Any, str]] = {
    Decimal: "decimal",
    datetime: "datetime",
    date: "date",
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
}


class VerbDescription(msgspec.Struct, frozen=True, kw_only=True):
    """One verb of a resource.

    Attributes:
        name: such as "search".
        path: of its requests, below ``base_url``; ``{key}`` is the key of an object.
        source: "documented", "inferred" from other paths, or "configured" with ``endpoints``.
    """

    name: str
    path: str
    source: PathSource


class ColumnDescription(msgspec.Struct, frozen=True, kw_only=True):
    """One column of rows.

    Attributes:
        name: on the wire, as in ``where``, ``order_by`` and files.
        attribute: of the row type.
        type: "string", "integer", "decimal", "boolean", "datetime", "date", "object", "list of objects" and
            the like; alternatives are joined with " or ".
        nullable: True if the value may be null or missing.
        values: known values; a column of type "string" may have others.
        meaning: from the docstrings of this package, or "".
        columns: of an object, or of each object of a list.
        verbs: those of "list", "search" and "get" whose rows have the column.
    """

    name: str
    attribute: str
    type: str
    nullable: bool
    values: tuple[str, ...] = ()
    meaning: str = ""
    columns: tuple[ColumnDescription, ...] = ()
    verbs: tuple[Verb, ...] = ()


class FilterDescription(msgspec.Struct, frozen=True, kw_only=True):
    """One filter of ``list()``: its keyword, and type, known values and meaning as for a column."""

    name: str
    type: str
    values: tuple[str, ...] = ()
    meaning: str = ""


class ResourceDescription(msgspec.Struct, frozen=True, kw_only=True):
    """One resource.

    Attributes:
        name: the attribute of the client.
        verbs: with the path of each.
        key: wire name of the unique key of a row; None if rows have none.
        modified_at_field: wire name of the time of the last change; None if none is known.
        columns: of list and search rows, and then those of objects alone; a column whose type differs between
            verbs occurs once for each. Empty if rows are dicts, because their columns are not documented.
        filters: keywords of ``list()``.
        operators: of a ``where``; empty without a search.
    """

    name: str
    verbs: tuple[VerbDescription, ...]
    key: str | None
    modified_at_field: str | None
    columns: tuple[ColumnDescription, ...]
    filters: tuple[FilterDescription, ...]
    operators: tuple[str, ...]


class DescribesResources:
    """The method ``describe()`` of a client, whose resources are its cached properties."""

    @property
    def config(self) -> Config:
        """The options of this client."""
        raise NotImplementedError

    @overload
    def describe(self, resource: None = None) -> tuple[ResourceDescription, ...]: ...
    @overload
    def describe(self, resource: str) -> ResourceDescription: ...
    def describe(self, resource: str | None = None) -> ResourceDescription | tuple[ResourceDescription, ...]:
        """Describe a resource, or all that can be read: verbs, paths, columns, filters and operators.

        Sends nothing. It describes what this package declares and the configuration overrides; a server may
        have more columns.

        Args:
            resource: an attribute of the client, such as "invoices"; None for all.

        Raises:
            ConfigurationError: the client does not have the resource.
        """
        collections = self._collections()
        if resource is None:
            return tuple(_describe(each, self.config) for each in collections.values())
        is_name = isinstance(resource, str)  # pyright: ignore[reportUnnecessaryIsInstance]
        collection: Any = getattr(self, resource, None) if is_name else None
        if not any(collection is each for each in collections.values()):
            known = ", ".join(collections)
            raise ConfigurationError(f"unknown resource {shown(resource)}; use one of {known}")
        return _describe(collection, self.config)

    def _check_endpoints(self) -> None:
        """Refuse an override of a resource that the client does not have: nothing would use it."""
        known = self._collections() if self.config.endpoints else {}
        for name in self.config.endpoints:
            if name not in known and not name.startswith("/"):  # the path of a ``collection()``
                raise ConfigurationError(
                    f"endpoints: unknown resource {name!r}; use one of {', '.join(known)}, "
                    "or a path that begins with /"
                )

    def _collections(self) -> dict[str, Collection[Any, Any, Any]]:
        members = [item for kind in reversed(type(self).__mro__) for item in vars(kind).items()]
        names = [name for name, value in members if isinstance(value, functools.cached_property)]
        values = {name: getattr(self, name) for name in names}
        return {name: value for name, value in values.items() if isinstance(value, Collection)}


def _describe(collection: Collection[Any, Any, Any], config: Config) -> ResourceDescription:
    """Return the description of a resource, with the paths that the configuration overrides."""
    endpoint = collection.endpoint
    is_searchable = isinstance(collection, SearchableCollection)
    row_types: dict[Verb, type[Any]] = {"list": collection.row_type}
    row_types |= {"search": collection.hit_type} if is_searchable else {}
    row_types |= {"get": collection.detail_type}
    return ResourceDescription(
        name=endpoint.resource,
        verbs=tuple(_verbs(collection, config, is_searchable=is_searchable)),
        key=endpoint.key,
        modified_at_field=endpoint.modified_at_field,
        columns=_merged_columns(row_types),
        filters=tuple(_filters(type(collection))),
        operators=OPERATORS if is_searchable else (),
    )


def _verbs(
    collection: Collection[Any, Any, Any], config: Config, *, is_searchable: bool
) -> Iterator[VerbDescription]:
    endpoint = collection.endpoint
    bulk: Verb = "search" if is_searchable else "list"
    requests: dict[str, Verb] = {"list": "list"}
    if is_searchable:
        requests["search"] = "search"
    requests |= {"get": "get", "get_many": "get", "pull": bulk, "plan": bulk}
    if is_searchable and endpoint.modified_at_field is not None:
        requests["changes"] = "search"
    if endpoint.key is not None:
        requests["reconcile_keys"] = bulk
    override = config.endpoints.get(endpoint.resource)
    for name, verb in requests.items():
        path: str | None = getattr(endpoint, f"{verb}_path")
        if path is None:
            continue
        source: PathSource = "inferred" if verb in endpoint.undocumented else "documented"
        if getattr(override, f"{verb}_path", None) is not None:
            source = "configured"
        full = (
            f"{config.gql_prefix if endpoint.below_prefix else ''}{path}{'/{key}' if verb == 'get' else ''}"
        )
        yield VerbDescription(name=name, path=full, source=source)


def _merged_columns(row_types: Mapping[Verb, type[Any]]) -> tuple[ColumnDescription, ...]:
    verbs: dict[ColumnDescription, tuple[Verb, ...]] = {}
    for verb, row_type in row_types.items():
        for column in _columns(row_type):  # type: ignore[arg-type]
            verbs[column] = (*verbs.get(column, ()), verb)
    return tuple(msgspec.structs.replace(column, verbs=of) for column, of in verbs.items())


@functools.cache
def _columns(row_type: Any) -> tuple[ColumnDescription, ...]:
    if not is_struct(row_type):
        return ()
    meanings = field_meanings(row_type)
    return tuple(_column(field, meanings.get(field.name, "")) for field in msgspec.structs.fields(row_type))


def _column(field: msgspec.structs.FieldInfo, meaning: str) -> ColumnDescription:
    parts = tuple(_alternatives(field.type))
    nested = next(
        filter(is_struct, (item for part in parts for item in (part, *typing.get_args(part)))), None
    )
    return ColumnDescription(
        name=field.encode_name,
        attribute=field.name,
        type=_type_word(field.type),
        nullable=type(None) in parts,
        values=_known_values(parts),
        meaning=meaning or ("" if nested is None else _first_paragraph(nested)),
        columns=() if nested is None else _columns(nested),
    )


def _filters(collection_type: Any) -> Iterator[FilterDescription]:
    listing = collection_type.list
    hints = typing.get_type_hints(listing)
    meanings = section_entries(listing.__doc__, "Args")
    for name, parameter in inspect.signature(listing).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY:
            parts = tuple(_alternatives(hints[name]))
            yield FilterDescription(
                name=name,
                type=_type_word(hints[name]),
                values=_known_values(parts),
                meaning=meanings.get(name, ""),
            )


def _alternatives(annotation: Any) -> Iterator[Any]:
    """Yield the members of a union, also of one within a union."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        yield from _alternatives(typing.get_args(annotation)[0])
    elif origin in {Union, types.UnionType}:
        for each in typing.get_args(annotation):
            yield from _alternatives(each)
    else:
        yield annotation


def _type_word(annotation: Any) -> str:
    words = dict.fromkeys(_word(part) for part in _alternatives(annotation) if part is not type(None))
    return " or ".join(words) or "null"


def _word(kind: Any) -> str:
    if kind in _WORDS:
        return _WORDS[kind]
    origin, arguments = typing.get_origin(kind) or kind, typing.get_args(kind)
    if origin is Literal:
        return " or ".join(dict.fromkeys(_WORDS.get(type(value), "any") for value in arguments))
    if not isinstance(origin, type):
        return "any"
    if issubclass(origin, (list, tuple, set, frozenset)):
        return f"list of {_type_word(arguments[0])}s" if arguments else "list"
    return "object" if is_struct(origin) or issubclass(origin, Mapping) else "any"


def _known_values(parts: tuple[Any, ...]) -> tuple[str, ...]:
    literals = (part for part in parts if typing.get_origin(part) is Literal)
    return tuple(dict.fromkeys(str(value) for literal in literals for value in typing.get_args(literal)))


def _first_paragraph(kind: type[Any]) -> str:
    return " ".join(inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0].split())
