"""The invoice list of a sandbox: its order and the requests for it."""

# The order of the list is private.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from typing import Any

import msgspec

from aiwyn_async.sandbox import Sandbox
from aiwyn_async.sandbox._declarations.schema import RESOURCES
from aiwyn_async.sandbox._http.handlers import PageLimits, list_page


def listed_ids(box: Sandbox) -> list[Any]:
    """Return the ids in the order of the list: newest first, ties in the server's order."""
    page = list_page(box._database, RESOURCES["invoices"], {"pageSize": 1000}, PageLimits(), 0)
    return [row["id"] for row in msgspec.json.decode(page)["deid_invoice"]]


def request_bodies(box: Sandbox, route: str = "invoices.list") -> list[Any]:
    return [request.body for request in box.requests if request.route == route]
