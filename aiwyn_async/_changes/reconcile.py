"""Which keys are gone on the server, and which are missing here, by a sweep over the keys alone."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from aiwyn_async._changes.timestamps import instant_of
from aiwyn_async._core.reports import PullReport
from aiwyn_async._decoding.checked_types import key_only
from aiwyn_async._pull.keys import key_and_instant, plain_key
from aiwyn_async._pull.pull import Pull
from aiwyn_async.errors import ConfigurationError, IncompleteError
from aiwyn_async.models.base import Id

__all__ = ["KeyDiff", "diff_keys", "diff_rows"]

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)


class KeyDiff(msgspec.Struct, frozen=True):
    """What a sweep over the keys found.

    Attributes:
        gone: known keys that the server has no more, or that no longer fit the condition.
        missing: keys of the server that are not known.
        report: of the sweep; it is complete.
        changed: known keys whose instant of change differs from the known one, where instants were compared.
        unnamed: rows without a readable key; any known key may be one of theirs, so that none is gone.
    """

    deleted: list[Id]
    untracked: list[Id]
    report: PullReport
    changed: list[Id] = []
    unnamed: int = 0


async def diff_keys(pull: Pull[Any], known: Iterable[Id] | AsyncIterable[Id]) -> KeyDiff:
    """Hold the keys of a pull against known ones, which are read before the pull begins.

    A key in quotes is the same as its number, if it is written like it: "123" is 123, "00123" is not. Memory
    grows with the known keys: about 60 bytes each.

    Raises:
        ConfigurationError: rows have no key, or the pull was resumed.
        IncompleteError: the sweep cannot be vouched for as complete, so that no key may be called gone.
    """
    if isinstance(known, AsyncIterable):
        known = [key async for key in known]
    return await diff_rows(pull, ((key, None) for key in known), None)


async def diff_rows(
    pull: Pull[Any],
    known: Iterable[tuple[Id, int | None]],
    column: str | None,
    *,
    allow_unnamed: bool = False,
) -> KeyDiff:
    """Compare the keys of a pull, and the instants of change, with known ones.

    Args:
        pull: reads the rows to compare with.
        known: keys, each with its instant in microseconds since 1970, or None for a null and where only keys
            are compared.
        column: wire name of the instant; None compares the keys alone.
        allow_unnamed: rows without a readable key are counted; otherwise they make the sweep incomplete.

    Raises:
        ConfigurationError: rows have no key, or the pull was resumed.
        IncompleteError: the sweep is not proven complete, so that no key may be called gone.
    """
    if pull.is_resumed:
        raise ConfigurationError("a pull that was resumed reads only some of the keys; pass a new one")
    if not pull.query.key:
        raise ConfigurationError(f"rows of {pull.query.path} have no key to tell them apart by")
    left, as_known = _by_plain_key(known)
    sweep: Pull[Any] = pull.decode_as(
        key_only(pull.query.key) if column is None else key_and_instant(pull.query.key, column)
    )
    missing: list[Id] = []
    changed: list[Id] = []
    unnamed = 0
    async for row in sweep:
        if row.key is None:
            unnamed += 1
        elif (plain := plain_key(row.key)) not in left:
            missing.append(row.key)
        elif left.pop(plain) != (None if column is None else _micros(row.instant)):
            changed.append(row.key)
    unnamed += sweep.report.bad_rows
    doubts = sweep.report.blocking_problems(allow_rows_without_key=True)
    if unnamed and not allow_unnamed:
        doubts.append(f"{unnamed} rows came without a readable key")
    if doubts:
        raise IncompleteError(
            f"the keys of {pull.query.path} were not read completely, so none is called gone: "
            + "; ".join(doubts),
            checkpoint=sweep.checkpoint,
            report=sweep.report,
        )
    gone = [] if unnamed else [as_known.get(key, key) for key in left]
    return KeyDiff(gone, missing, sweep.report, changed, unnamed)


def _by_plain_key(known: Iterable[tuple[Id, int | None]]) -> tuple[dict[Id, int | None], dict[Id, Id]]:
    """The instants by the plain form of their keys, and the keys that are known in another form."""
    instants: dict[Id, int | None] = {}
    as_known: dict[Id, Id] = {}
    for key, instant in known:
        plain = plain_key(key)
        instants[plain] = instant
        if plain is not key:
            as_known[plain] = key
    return instants, as_known


def _micros(instant: object) -> object:
    """Return an instant in microseconds since 1970; what is not an instant equals none."""
    if instant is None:
        return None
    try:
        return (instant_of(str(instant)) - EPOCH) // MICROSECOND
    except ValueError:
        return instant
