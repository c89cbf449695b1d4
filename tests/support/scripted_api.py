"""A small API on raw sockets, which plays a script instead of its response when a test says so."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from fault_server import READ, Connection, FaultServer, Step, http_response, send

__all__ = ["ROWS", "ScriptedApi"]

ROWS = [{"id": key, "invoiceNumber": f"INV-{key}", "totalAmount": 10.5 * key} for key in (1, 2, 3, 4)]
ROUTES = {
    "token": r"/v1/auth/token",
    "search": r"/gql/v1/invoices/search",
    "get": r"/gql/v1/invoice/\d+",
    "list": r"/gql/v1/invoices",
    "upsert": r"/api/v1/records",
}


class ScriptedApi(FaultServer):
    """Serves ``ROWS``, one request per connection; faulty requests receive a script instead.

    ``received`` has the name of the route of each request; ``faults`` counts the scripts played.
    """

    def __init__(self) -> None:
        super().__init__([self._serve])
        self.received: list[str] = []
        self.faults = 0
        self._script: Sequence[Step] | None = None
        self._faulty: tuple[str, int] = ("", 0)

    def break_route(self, route: str, nth: int, script: Sequence[Step]) -> None:
        """Play the script, without its READ, for the n-th page of a list, or from the n-th request on."""
        self._faulty = route, nth
        self._script = [step for step in script if step is not READ]

    def heal(self) -> None:
        """Serve every request from now on."""
        self._script = None

    async def _serve(self, connection: Connection) -> None:
        await READ(connection)
        request = self.requests[-1]
        route = next(name for name, path in ROUTES.items() if re.fullmatch(path, request.target))
        self.received.append(route)
        fields = msgspec.json.decode(request.body or b"{}")
        if self._script is not None and self._is_faulty(route, fields):
            self.faults += 1
            for step in self._script:
                await step(connection)
            return
        body = msgspec.json.encode(self.response(route, request.target, fields))
        await send(http_response(body=body, headers={"Connection": "close"}))(connection)

    def _is_faulty(self, route: str, fields: dict[str, Any]) -> bool:
        faulty, nth = self._faulty
        number = fields["page"] + 1 if route == "list" else self.received.count(route)
        return route == faulty and (number == nth if route == "list" else number >= nth)

    def response(self, route: str, target: str, fields: dict[str, Any]) -> dict[str, Any]:
        """Return the right response to a request."""
        if route == "token":
            return {"token": "a-token", "expiresIn": 3600}
        if route == "get":
            return ROWS[int(target.rpartition("/")[2]) - 1]
        if route == "upsert":
            created = [{"status": "CREATED", "systemRef": each["systemRef"]} for each in fields["records"]]
            return {"success": True, "data": {"records": created}}
        after = fields.get("where", {}).get("id", {}).get("_gt", 0)
        rows = [row for row in ROWS if row["id"] > after]
        if fields.get("orderBy") == [{"id": "desc"}]:
            rows.reverse()
        first = fields.get("page", 0) * fields["pageSize"]
        count = {"aggregate": {"count": len(rows)}}
        return {"deid_invoice": rows[first : first + fields["pageSize"]], "deid_invoice_aggregate": count}
