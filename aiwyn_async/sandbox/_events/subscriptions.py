"""Event subscriptions.

Documented: the path of the catalog, that a subscription selects entity types and the operations CREATE,
UPDATE and DELETE, that it can be created, updated and deactivated, and that its signing secret can be read.
Inferred: every other path and method, every field, and the envelope, which is that of the records.
"""

import base64
import itertools
import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, get_args
from urllib.parse import urlsplit

import msgspec

from aiwyn_async.sandbox._data.changes import Change, Operation
from aiwyn_async.sandbox._data.database import Database
from aiwyn_async.sandbox._data.errors import BadRequestError, RejectedRequestError, decode_body
from aiwyn_async.sandbox._declarations.schema import RESOURCES

_HOSTS = frozenset({"127.0.0.1", "localhost"})

_Operations = Annotated[list[Operation], msgspec.Meta(min_length=1)]
_EntityTypes = Annotated[list[str], msgspec.Meta(min_length=1)]


class NewSubscription(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A subscription to create."""

    target_url: str
    entity_types: _EntityTypes
    operations: _Operations
    description: str | None = None


class SubscriptionChanges(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The keys of a subscription to change."""

    target_url: str | None = None
    entity_types: _EntityTypes | None = None
    operations: _Operations | None = None
    description: str | msgspec.UnsetType | None = msgspec.UNSET
    active: bool | None = None


@dataclass(frozen=True, slots=True)
class Subscriber:
    """The target of an event, and the secret that signs it."""

    subscription_id: int
    url: str
    secret: str


@dataclass(slots=True)
class Subscriptions:
    """Changes of the table ``event_subscriptions``."""

    database: Database

    def catalog(self) -> dict[str, object]:
        """Return the entity types that can be subscribed to."""
        return {
            "entityTypes": [
                {"name": name, "operations": get_args(Operation)} for name in self._entity_types()
            ]
        }

    def create(self, body: object) -> dict[str, object]:
        """Create a subscription with a new secret; its target must be on this machine."""
        new = decode_body(body, NewSubscription)
        self._check(new.target_url, new.entity_types)
        secret = f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
        kinds, operations = _encode_unique(new.entity_types), _encode_unique(new.operations)
        sql = (
            "INSERT INTO event_subscriptions (target_url, entity_types, operations, description, secret)"
            " VALUES (?, ?, ?, ?, ?) RETURNING id"
        )
        with self.database.transaction() as connection:
            row = (new.target_url, kinds, operations, new.description, secret)
            (row_id,) = connection.execute(sql, row).fetchone()
            return _read_subscription(connection, row_id)

    def update(self, row_id: int, body: object) -> dict[str, object]:
        """Change the keys that were sent; null changes the description only."""
        changes = decode_body(body, SubscriptionChanges)
        self._check(changes.target_url, changes.entity_types or ())
        columns: dict[str, str | int | None] = {}
        if changes.target_url is not None:
            columns["target_url"] = changes.target_url
        if changes.entity_types is not None:
            columns["entity_types"] = _encode_unique(changes.entity_types)
        if changes.operations is not None:
            columns["operations"] = _encode_unique(changes.operations)
        if changes.description is not msgspec.UNSET:
            columns["description"] = changes.description
        if changes.active is not None:
            columns["active"] = int(changes.active)
        return self._change(row_id, columns)

    def deactivate(self, row_id: int) -> dict[str, object]:
        """Stop deliveries; the subscription can be activated again."""
        return self._change(row_id, {"active": 0})

    def secret(self, row_id: int) -> dict[str, object]:
        """Return the secret that signs deliveries."""
        rows = self.database.query("SELECT secret FROM event_subscriptions WHERE id = ?", (row_id,))
        if not rows:
            raise _not_found(row_id)
        return {"secret": rows[0][0]}

    def subscribers(self, changes: Sequence[Change]) -> list[list[Subscriber]]:
        rows = self.database.query(
            "SELECT id, target_url, secret, entity_types, operations FROM event_subscriptions WHERE active"
        )
        by_event: dict[tuple[str, str], list[Subscriber]] = {}
        for row_id, url, secret, kinds, operations in rows:
            subscriber = Subscriber(row_id, url, secret)
            for pair in itertools.product(_decode_list(kinds), _decode_list(operations)):
                by_event.setdefault(pair, []).append(subscriber)
        return [by_event.get((change.entity_type, change.operation), []) for change in changes]

    def _entity_types(self) -> list[str]:
        """Return the resources and all types of records."""
        sql = "SELECT name FROM record_types UNION SELECT type FROM records ORDER BY 1"
        records: list[str] = [name for (name,) in self.database.query(sql)]
        return [*RESOURCES, *(name for name in records if name not in RESOURCES)]

    def _check(self, url: str | None, kinds: Sequence[str]) -> None:
        if url is not None:
            _check_target(url)
        known = self._entity_types() if kinds else ()
        if unknown := [kind for kind in kinds if kind not in known]:
            raise BadRequestError(f"entityTypes: {unknown[0][:40]!r} is not in the catalog")

    def _change(self, row_id: int, columns: Mapping[str, str | int | None]) -> dict[str, object]:
        with self.database.transaction() as connection:
            for column, value in columns.items():
                sql = f"UPDATE event_subscriptions SET {column} = ? WHERE id = ?"  # noqa: S608 - named above
                connection.execute(sql, (value, row_id))
            return _read_subscription(connection, row_id)


def _check_target(url: str) -> None:
    """Check that a target is on this machine: a sandbox never delivers elsewhere."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadRequestError("targetUrl: expected a URL") from None
    plain = url.isascii() and url.isprintable() and " " not in url
    if not plain or parts.scheme != "http" or parts.username is not None or parts.hostname not in _HOSTS:
        raise BadRequestError("targetUrl: the sandbox delivers to http://127.0.0.1 and http://localhost only")
    if port == 0:
        raise BadRequestError("targetUrl: port must not be 0")


def _encode_unique(values: Sequence[str]) -> str:
    """Encode a list without duplicates, in order."""
    return msgspec.json.encode(list(dict.fromkeys(values))).decode()


def _decode_list(text: str) -> list[str]:
    return msgspec.json.decode(text, type=list[str])


def _not_found(row_id: int) -> RejectedRequestError:
    return RejectedRequestError(
        404, f"the event subscription {row_id} does not exist", "SUBSCRIPTION_NOT_FOUND"
    )


def _read_subscription(connection: sqlite3.Connection, row_id: int) -> dict[str, object]:
    sql = (
        "SELECT target_url, entity_types, operations, description, active FROM event_subscriptions"
        " WHERE id = ?"
    )
    row = connection.execute(sql, (row_id,)).fetchone()
    if row is None:
        raise _not_found(row_id)
    return {
        "id": row_id,
        "targetUrl": row[0],
        "entityTypes": msgspec.Raw(row[1].encode()),
        "operations": msgspec.Raw(row[2].encode()),
        "description": row[3],
        "active": bool(row[4]),
    }
