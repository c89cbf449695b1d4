"""Pages of a read that decodes no rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from aiwyn_async._pagination.page import Checkpoint, Page, PageMeta, RawPage

__all__ = ["raw_page"]


def raw_page(rows: Sequence[msgspec.Raw], document: RawPage | None = None, *, number: int = 0) -> Page[Any]:
    """Return a page of these rows; ``document`` is the response that has exactly these."""
    return Page(
        list(rows),
        count=None,
        number=number,
        checkpoint=Checkpoint(endpoint="/x", query="q", position={}),
        meta=PageMeta(200, None, (), 0.0, 0),
        raw=list,
        document=document,
    )
