"""Pages of invoices as the API sends them."""

from __future__ import annotations

from typing import Any

from aiwyn_async._decoding.envelope import Envelope
from aiwyn_async._decoding.pages import DecodedRows, PageDecoder
from aiwyn_async.models.invoices import Invoice

DECLARED = Envelope(("deid_invoice",), ("deid_invoice_aggregate", "aggregate", "count"))


def decode(body: bytes, kind: Any = Invoice, declared: Envelope | None = DECLARED) -> DecodedRows[Any]:
    return PageDecoder(kind, declared).decode(body)


def page_of(*rows: str, count: str = "1") -> bytes:
    text = (
        f'{{"deid_invoice":[{",".join(rows)}],"deid_invoice_aggregate":{{"aggregate":{{"count":{count}}}}}}}'
    )
    return text.encode()
