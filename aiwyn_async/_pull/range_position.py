"""The position of a pull by key ranges, as a checkpoint stores it."""

from __future__ import annotations

import msgspec

from aiwyn_async._core.pull_report import KeyRange
from aiwyn_async._core.reports import EarlierProblems
from aiwyn_async._pagination.page import Position, damaged_checkpoint
from aiwyn_async._pagination.strategy import parse_position
from aiwyn_async._pull.key_ranges import lower_bound, upper_bound


class RangePosition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ranges that a pull has left, and the counts that its report continues.

    Attributes:
        left: the key ranges to read, those that could not be read last.
        rows_yielded: rows yielded so far.
        yielded_above_last: those of them with a key greater than ``last_key``.
        last_key: the highest key at the start, or None.
        total_count: the server's count at the start, or None.
        order_checked: the order of the keys could be verified.
        problems: problem counts so far.
    """

    left: list[KeyRange]
    rows_yielded: int
    yielded_above_last: int
    last_key: int | None
    total_count: int | None
    order_checked: bool = True
    problems: EarlierProblems = EarlierProblems()

    @classmethod
    def from_checkpoint(cls, position: Position) -> RangePosition:
        """Convert the position of a checkpoint, with its ranges in key order.

        Raises:
            CheckpointError: it is damaged.
        """
        parsed = parse_position(position, cls)
        return msgspec.structs.replace(parsed, left=_sort_ranges(parsed.left))

    def to_checkpoint(self) -> Position:
        return dict(msgspec.to_builtins(self))


def _sort_ranges(ranges: list[KeyRange]) -> list[KeyRange]:
    """Sort ranges of integer keys; a server's collation orders text keys.

    Raises:
        CheckpointError: ranges overlap, so that rows would be yielded twice.
    """
    if any(isinstance(bound, str) for each in ranges for bound in (each.after, each.until)):
        return ranges
    ordered = sorted(ranges, key=lower_bound)
    bounds = [bound for each in ordered for bound in (lower_bound(each), upper_bound(each))]
    if bounds != sorted(bounds):
        raise damaged_checkpoint()
    return ordered
