"""By-id objects, which do not look like list rows."""

import msgspec

from .declare import Resource, Row
from .store import Store

__all__ = ["detail"]


def detail(store: Store, resource: Resource, row_id: int) -> bytes | None:
    """The by-id object as JSON, or None when there is no such row.

    A tag without a form of its own shows its row.
    """
    body = store.body(resource, row_id)
    if body is None or resource.detail is None:
        return body
    # Raw values keep each number's text, so that 20000.00 stays 20000.00.
    return msgspec.json.encode(resource.detail(store, row_id, msgspec.json.decode(body, type=Row)))
