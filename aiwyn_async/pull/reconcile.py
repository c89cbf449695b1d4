"""Which keys are gone on the server, and which are missing here, by a sweep over the keys alone."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import Any

import msgspec

from aiwyn_async.errors import ConfigurationError, IncompleteError
from aiwyn_async.models.base import Id
from aiwyn_async.models.envelopes import key_only
from aiwyn_async.pull.keys import plain_key
from aiwyn_async.pull.pull import Pull
from aiwyn_async.pull.report import PullReport

__all__ = ["KeyDifference", "key_difference"]


class KeyDifference(msgspec.Struct, frozen=True):
    """What a sweep over the keys found.

    Attributes:
        gone: known keys that the server has no more, or that no longer fit the condition.
        missing: keys of the server that are not known.
        report: of the sweep; it is complete.
    """

    gone: list[Id]
    missing: list[Id]
    report: PullReport


async def key_difference(pull: Pull[Any], known: Iterable[Id] | AsyncIterable[Id]) -> KeyDifference:
    """Hold the keys of a pull against known ones, which are read before the pull begins.

    A key in quotes is the same as its number. Memory grows with the known keys: about 60 bytes each.

    Raises:
        ConfigurationError: rows have no key, or the pull was resumed.
        IncompleteError: the sweep cannot be vouched for as complete, so that no key may be called gone.
    """
    if pull.is_resumed:
        raise ConfigurationError("a pull that was resumed reads only some of the keys; pass a new one")
    if not pull.query.key:
        raise ConfigurationError(f"rows of {pull.query.path} have no key to tell them apart by")
    left: dict[Id, Id] = {}
    if isinstance(known, AsyncIterable):
        left.update([(plain_key(key), key) async for key in known])
    else:
        left.update((plain_key(key), key) for key in known)
    sweep = pull.decode_as(key_only(pull.query.key))
    missing: list[Id] = []
    without_key = 0
    async for row in sweep:
        key: Id | None = row.key
        if key is None:
            without_key += 1
        elif left.pop(plain_key(key), None) is None:
            missing.append(key)
    if without_key or not sweep.report.complete:
        doubts = sweep.report.doubts() or [f"{without_key} rows came without a key"]
        raise IncompleteError(
            f"the keys of {pull.query.path} were not read completely, so none is called gone: "
            + "; ".join(doubts),
            checkpoint=sweep.checkpoint,
            report=sweep.report,
        )
    return KeyDifference(list(left.values()), missing, sweep.report)
