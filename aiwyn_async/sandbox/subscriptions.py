"""Event subscriptions: who is told of what.

Documented: the path of the catalog, that a subscription picks entity types and the operations CREATE, UPDATE
and DELETE, that it can be created, updated and deactivated, and that it has a signing secret to be asked for.
Inferred: every other path and method, every field, and the envelope, which is that of the records.
"""

import base64
import itertools
import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from .books import Books, Change
from .envelope import Refusal, read
from .values import BadRequestError

__all__ = ["OPERATIONS", "NewSubscription", "Subscriber", "SubscriptionChanges", "Subscriptions"]

OPERATIONS = ("CREATE", "UPDATE", "DELETE")
_HOSTS = frozenset({"127.0.0.1", "localhost"})

_Operations = Annotated[list[Literal["CREATE", "UPDATE", "DELETE"]], msgspec.Meta(min_length=1)]
_EntityTypes = Annotated[list[str], msgspec.Meta(min_length=1)]


class NewSubscription(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A subscription to be."""

    target_url: str
    entity_types: _EntityTypes
    operations: _Operations
    description: str | None = None


class SubscriptionChanges(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The keys of a subscription that are to change."""

    target_url: str | None = None
    entity_types: _EntityTypes | None = None
    operations: _Operations | None = None
    description: str | msgspec.UnsetType | None = msgspec.UNSET
    active: bool | None = None


@dataclass(frozen=True, slots=True)
class Subscriber:
    """Where an event goes, and the secret it is signed with."""

    subscription_id: int
    url: str
    secret: str


@dataclass(slots=True)
class Subscriptions:
    """Subscriptions, kept in the table `event_subscriptions`."""

    books: Books

    def catalog(self) -> dict[str, object]:
        """What can be subscribed to."""
        return {
            "entityTypes": [
                {"name": name, "operations": list(OPERATIONS)} for name in self.books.entity_types()
            ]
        }

    def create(self, body: object) -> dict[str, object]:
        """Subscribe, with a secret of its own.

        Raises:
            BadRequestError: A field is unknown, missing or misshapen, the target is not on this machine, or
                an entity type is not in the catalog.
        """
        new = read(body, NewSubscription)
        self._check(new.target_url, new.entity_types)
        secret = f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
        kinds, operations = _texts(new.entity_types), _texts(new.operations)
        sql = (
            "INSERT INTO event_subscriptions (target_url, entity_types, operations, description, secret)"
            " VALUES (?, ?, ?, ?, ?) RETURNING id"
        )
        with self.books.writing() as connection:
            row = (new.target_url, kinds, operations, new.description, secret)
            (row_id,) = connection.execute(sql, row).fetchone()
            return _shown(connection, row_id)

    def update(self, row_id: int, body: object) -> dict[str, object]:
        """Change the keys that were sent; null keeps, save for the description.

        Raises:
            BadRequestError: As for a new one.
            Refusal: There is no such subscription.
        """
        changes = read(body, SubscriptionChanges)
        self._check(changes.target_url, changes.entity_types or ())
        columns: dict[str, str | int | None] = {}
        if changes.target_url is not None:
            columns["target_url"] = changes.target_url
        if changes.entity_types is not None:
            columns["entity_types"] = _texts(changes.entity_types)
        if changes.operations is not None:
            columns["operations"] = _texts(changes.operations)
        if changes.description is not msgspec.UNSET:
            columns["description"] = changes.description
        if changes.active is not None:
            columns["active"] = int(changes.active)
        return self._change(row_id, columns)

    def deactivate(self, row_id: int) -> dict[str, object]:
        """Send nothing more; the subscription stays and can be made active again.

        Raises:
            Refusal: There is no such subscription.
        """
        return self._change(row_id, {"active": 0})

    def secret(self, row_id: int) -> dict[str, object]:
        """The secret that deliveries are signed with.

        Raises:
            Refusal: There is no such subscription.
        """
        found = self.books.query("SELECT secret FROM event_subscriptions WHERE id = ?", (row_id,))
        if not found:
            raise _missing(row_id)
        return {"secret": found[0][0]}

    def subscribers(self, changes: Sequence[Change]) -> list[list[Subscriber]]:
        """For each change, who has subscribed to it."""
        rows = self.books.query(
            "SELECT id, target_url, secret, entity_types, operations FROM event_subscriptions WHERE active"
        )
        wanted: dict[tuple[str, str], list[Subscriber]] = {}
        for row_id, url, secret, kinds, operations in rows:
            subscriber = Subscriber(int(str(row_id)), str(url), str(secret))
            for pair in itertools.product(_list(kinds), _list(operations)):
                wanted.setdefault(pair, []).append(subscriber)
        return [wanted.get((change.entity_type, change.operation), []) for change in changes]

    def _check(self, url: str | None, kinds: Sequence[str]) -> None:
        if url is not None:
            _check_target(url)
        known = self.books.entity_types() if kinds else ()
        if unknown := [kind for kind in kinds if kind not in known]:
            raise BadRequestError(f"entityTypes: {unknown[0][:40]!r} is not in the catalog")

    def _change(self, row_id: int, columns: Mapping[str, str | int | None]) -> dict[str, object]:
        with self.books.writing() as connection:
            for column, value in columns.items():
                sql = f"UPDATE event_subscriptions SET {column} = ? WHERE id = ?"  # noqa: S608 - named above
                connection.execute(sql, (value, row_id))
            return _shown(connection, row_id)


def _check_target(url: str) -> None:
    """A sandbox tells nobody off this machine anything, whatever a test subscribes."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadRequestError("targetUrl: not a URL") from None
    plain = url.isascii() and url.isprintable() and " " not in url
    if not plain or parts.scheme != "http" or parts.username is not None or parts.hostname not in _HOSTS:
        raise BadRequestError("targetUrl: the sandbox delivers to http://127.0.0.1 and http://localhost only")
    if port == 0:
        raise BadRequestError("targetUrl: port 0 is no port")


def _texts(values: Sequence[str]) -> str:
    """A JSON list without repetitions, in the order given."""
    return msgspec.json.encode(list(dict.fromkeys(values))).decode()


def _list(text: object) -> list[str]:
    return msgspec.json.decode(str(text), type=list[str])


def _missing(row_id: int) -> Refusal:
    return Refusal(404, "SUBSCRIPTION_NOT_FOUND", f"there is no event subscription {row_id}")


def _shown(connection: sqlite3.Connection, row_id: int) -> dict[str, object]:
    sql = (
        "SELECT target_url, entity_types, operations, description, active FROM event_subscriptions"
        " WHERE id = ?"
    )
    row = connection.execute(sql, (row_id,)).fetchone()
    if row is None:
        raise _missing(row_id)
    return {
        "id": row_id,
        "targetUrl": row[0],
        "entityTypes": msgspec.Raw(row[1].encode()),
        "operations": msgspec.Raw(row[2].encode()),
        "description": row[3],
        "active": bool(row[4]),
    }
