"""The checked options of reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, Final

import msgspec

from aiwyn_async._core.checks import check_callback, check_flag, check_positive, check_state, check_word
from aiwyn_async._decoding.pages import OnBadRow
from aiwyn_async._pagination.page import Checkpoint
from aiwyn_async._pagination.strategy import MAX_PAGE_SIZE

MAX_RANGES: Final = 64


class ReadOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The checked options of a read; each verb takes some. Made by ``build()``.

    Attributes:
        page_size: rows per request, 1 to 1000.
        limit: stop after this many rows, or None.
        strict: raise ``IncompleteError`` at the end unless the read is complete.
        on_bad_row: "raise", "skip" or "collect" rows that do not decode.
        resume: where an earlier read of the same query stopped, or None.
        ranges: key ranges read at once, 1 to 64; None for the client's limit of requests in flight.
        ordered: yield rows in key order.
        on_progress: called after each page with a ``Progress``.
        since: where changes start while ``state`` has no bookmark, as on the wire.
        overlap: how much earlier than that or than the bookmark to start; None for the default.
        state: stores the bookmark of changes.
    """

    page_size: int = MAX_PAGE_SIZE
    limit: int | None = None
    strict: bool = False
    on_bad_row: OnBadRow = "raise"
    resume: Checkpoint | None = None
    ranges: int | None = None
    ordered: bool = False
    on_progress: Callable[[Any], None] | None = None
    since: str | None = None
    overlap: timedelta | None = None
    state: Any = None

    @classmethod
    def build(cls, verb: str, names: Iterable[str] | None = None, /, **options: Any) -> ReadOptions:
        """Check the keyword arguments of a verb.

        Args:
            verb: as errors name it, such as "invoices.list".
            names: the options that the verb takes; all by default.
            **options: as the caller passed them.

        Raises:
            TypeError: the verb does not take an option.
            ConfigurationError: a value is out of bounds, or ``resume`` is not a checkpoint.
        """
        allowed = cls.__struct_fields__ if names is None else tuple(names)
        for name in options:
            if name not in allowed:
                of = "" if verb.startswith("/") else f"aiwyn.{verb}"  # a path, of collection()
                raise TypeError(
                    f"{verb}() got an unexpected keyword argument {name!r}; its options are "
                    f"{', '.join(allowed)}; see help({of}) for its other arguments"
                )
        return cls(**_checked(options))


def _checked(options: dict[str, Any]) -> dict[str, Any]:
    if "page_size" in options:
        options["page_size"] = check_positive("page_size", options["page_size"], MAX_PAGE_SIZE)
    if options.get("limit") is not None:
        options["limit"] = check_positive("limit", options["limit"])
    if options.get("ranges") is not None:
        options["ranges"] = check_positive("ranges", options["ranges"], MAX_RANGES)
    for name in ("strict", "ordered"):
        if name in options:
            options[name] = check_flag(name, options[name])
    check_word("on_bad_row", options.get("on_bad_row", "raise"), ("raise", "skip", "collect"))
    if options.get("resume") is not None:
        options["resume"] = as_checkpoint(options["resume"])
    check_callback("on_progress", options.get("on_progress"))
    check_state(options.get("state"))
    return options


def as_checkpoint(checkpoint: Checkpoint | str | bytes) -> Checkpoint:
    return checkpoint if isinstance(checkpoint, Checkpoint) else Checkpoint.from_json(checkpoint)
