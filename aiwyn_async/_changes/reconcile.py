"""Comparison of known keys with those of the server."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from aiwyn_async._changes.lookup import key_and_timestamp
from aiwyn_async._core.pull_report import PullReport
from aiwyn_async._decoding.checked_types import key_only
from aiwyn_async._pagination.timestamps import instant_of
from aiwyn_async._pull.pull import Pull
from aiwyn_async.errors import ConfigurationError, IncompleteError
from aiwyn_async.models.base import Id

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)


class KeyDiff(msgspec.Struct, frozen=True):
    """The difference between known keys and those of the server.

    Attributes:
        deleted: known keys that the server no longer has, or that no longer match the condition.
        untracked: keys of the server that are not known.
        report: the report of the pull; it is complete.
        changed: known keys whose last-modified timestamp differs, if timestamps were compared.
        rows_without_key: rows without a readable key; if there are any, ``deleted`` is empty, since each of
            them may have one of the known keys.
    """

    deleted: list[Id]
    untracked: list[Id]
    report: PullReport
    changed: list[Id] = []
    rows_without_key: int = 0


async def diff_keys(pull: Pull[Any], known: Iterable[Id] | AsyncIterable[Id]) -> KeyDiff:
    """Compare known keys with those of a pull.

    A text key equals the integer that it spells: "123" is 123, "00123" is not. All known keys are read
    before the pull starts; they take about 60 bytes of memory each.

    Args:
        pull: reads the keys of the server.
        known: the known keys.

    Raises:
        ConfigurationError: rows have no key, or the pull is resumed.
        IncompleteError: the pull is not proven complete, so no key can be reported as deleted.
    """
    if isinstance(known, AsyncIterable):
        known = [key async for key in known]
    return await diff_rows(pull, ((key, None) for key in known), None)


async def diff_rows(
    pull: Pull[Any],
    known: Iterable[tuple[Id, int | None]],
    column: str | None,
    *,
    allow_rows_without_key: bool = False,
) -> KeyDiff:
    """Compare known keys and their timestamps with those of a pull of the server's rows.

    ``known`` are keys with their timestamps in microseconds since 1970, or None. ``column`` is the wire name
    of the timestamp; None compares only keys. Rows without a readable key are counted if they are allowed.

    Raises:
        ConfigurationError: rows have no key, or the pull is resumed.
        IncompleteError: the pull is not proven complete, so no key can be reported as deleted.
    """
    if pull.is_resumed:
        raise ConfigurationError("a resumed pull reads only some of the keys; pass a new one")
    if not pull.query.key:
        raise ConfigurationError(f"rows of {pull.query.path} have no key to compare")
    unmatched, originals = _by_plain_key(known)
    key_pull: Pull[Any] = pull.decode_as(
        key_only(pull.query.key) if column is None else key_and_timestamp(pull.query.key, column)
    )
    untracked: list[Id] = []
    changed: list[Id] = []
    without_key = 0
    async for row in key_pull:
        if row.key is None:
            without_key += 1
        elif (plain := plain_key(row.key)) not in unmatched:
            untracked.append(row.key)
        elif unmatched.pop(plain) != (None if column is None else _micros(row.timestamp)):
            changed.append(row.key)
    without_key += key_pull.report.bad_rows
    _check_complete(key_pull, 0 if allow_rows_without_key else without_key)
    deleted = [] if without_key else [originals.get(key, key) for key in unmatched]
    return KeyDiff(deleted, untracked, key_pull.report, changed, without_key)


def _check_complete(key_pull: Pull[Any], rows_without_key: int) -> None:
    """Raise an error if any key may be missing."""
    problems = key_pull.report.blocking_problems(allow_rows_without_key=True)
    if rows_without_key:
        problems.append(f"{rows_without_key} rows have no readable key")
    if problems:
        raise IncompleteError(
            f"the keys of {key_pull.query.path} were not read completely, so none is reported as deleted: "
            + "; ".join(problems),
            checkpoint=key_pull.checkpoint,
            report=key_pull.report,
        )


def plain_key(key: Id) -> Id:
    """Return the integer that a key spells: "123" is 123, "00123" stays text."""
    if isinstance(key, int):
        return key
    try:
        return int(key) if str(int(key)) == key else key
    except ValueError:
        return key


def _by_plain_key(known: Iterable[tuple[Id, int | None]]) -> tuple[dict[Id, int | None], dict[Id, Id]]:
    """Return the timestamps by plain key, and the original form of other keys."""
    timestamps: dict[Id, int | None] = {}
    originals: dict[Id, Id] = {}
    for key, timestamp in known:
        plain = plain_key(key)
        timestamps[plain] = timestamp
        if plain is not key:
            originals[plain] = key
    return timestamps, originals


def _micros(timestamp: object) -> object:
    """Return a timestamp in microseconds since 1970; any other value is unchanged."""
    if timestamp is None:
        return None
    try:
        return (instant_of(str(timestamp)) - EPOCH) // MICROSECOND
    except ValueError:
        return timestamp
