"""The outcome of each record in the response of a write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from aiwyn_async._decoding.malformed import decodable
from aiwyn_async._http.error_mapping import error_body, server_message
from aiwyn_async._http.messages import encode_json
from aiwyn_async.errors import RequestError, StatusError
from aiwyn_async.models.base import Id
from aiwyn_async.models.records import Record, RecordOutcome

MISMATCHES: Final = {"UNREADABLE_RESPONSE", "RESULTS_DO_NOT_MATCH"}
"""Codes of outcomes whose response does not match the records that were sent."""


class Batch(msgspec.Struct):
    """Records of one request.

    Attributes:
        outcomes: None until they are known.
    """

    start: int
    records: list[Record]
    keys: set[bytes]
    outcomes: list[RecordOutcome] | None = None


def interrupted(batch: Batch) -> list[RecordOutcome]:
    """Return the outcomes of a batch that was in flight when the write ended."""
    return _same(batch, "ambiguous", "INTERRUPTED", "the write ended before the response")


def same_outcome(batch: Batch, error: RequestError) -> list[RecordOutcome]:
    status = "ambiguous" if error.ambiguous else "failed"
    code = f"HTTP_{error.status}" if isinstance(error, StatusError) else type(error).__name__
    return _same(batch, status, code, str(error))


def _same(batch: Batch, status: str, code: str, message: str) -> list[RecordOutcome]:
    return [
        RecordOutcome(index=batch.start + index, status=status, code=code, message=message)
        for index in range(len(batch.records))
    ]


class _Error(msgspec.Struct):
    code: str | int | None = None
    message: str | None = None


class _Result(msgspec.Struct):
    status: str | None = None
    id: Id | None = None
    error: _Error | str | None = None
    system_ref: Any = msgspec.field(name="systemRef", default=msgspec.UNSET)


class _Data(msgspec.Struct):
    records: list[msgspec.Raw] | None = None


class _Response(msgspec.Struct):
    data: _Data | None = None
    error: _Error | str | None = None
    errors: Any = None


_response: Final = msgspec.json.Decoder(_Response, strict=False)
_result: Final = msgspec.json.Decoder(_Result, strict=False)
_INVALID: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def parse_outcomes(batch: Batch, body: bytes, mask: Callable[[str], str]) -> list[RecordOutcome]:
    """Return one outcome per record; those that the response does not show clearly are ambiguous.

    ``mask`` returns text of the server without credentials.
    """
    return [
        outcome
        if outcome.message is None and outcome.code is None
        else msgspec.structs.replace(
            outcome,
            code=outcome.code and mask(outcome.code),
            message=outcome.message and mask(outcome.message),
        )
        for outcome in _outcomes(batch, body)
    ]


def _outcomes(batch: Batch, body: bytes) -> list[RecordOutcome]:
    body = decodable(body)
    try:
        response = _response.decode(body)
    except _INVALID:
        text = "the response does not say which records were written"
        return _same(batch, "ambiguous", "UNREADABLE_RESPONSE", text)
    results = response.data.records if response.data is not None else None
    if results is None and (response.error is not None or response.errors):
        code, _ = _code_and_message(response.error)
        message = server_message(error_body(body))
        return _same(batch, "ambiguous", code or "ERROR", message or "the response contains an error")
    in_order, reason = _in_order_of(batch, [_decoded(result) for result in results or []])
    return [_outcome(batch.start + index, result, reason) for index, result in enumerate(in_order)]


def _decoded(result: msgspec.Raw) -> _Result:
    """Return a result, without a status if it cannot be decoded."""
    try:
        return _result.decode(result)
    except _INVALID:
        return _Result()


def _in_order_of(batch: Batch, results: Sequence[_Result]) -> tuple[Sequence[_Result | None], str]:
    """Return the result of each record, or None and a reason if the response does not show which it is."""
    sent = [_reference(record.system_ref) for record in batch.records]
    shown = [_reference(result.system_ref) for result in results]
    # To a record without a reference the server may assign one.
    if None not in sent and not {*sent, None}.issuperset(shown):
        return [None] * len(sent), (
            "the response shows references of records that were not sent; it belongs to another request"
        )
    reason = f"the response has {len(results)} results for {len(sent)} records"
    if len(results) == len(sent):
        if all(None in pair or pair[0] == pair[1] for pair in zip(sent, shown, strict=True)):
            return results, ""
        reason = "the references in the response are not in the order of the records"
    counts = Counter(sent), Counter(shown)
    by_reference = {
        reference: result
        for reference, result in zip(shown, results, strict=True)
        if reference is not None and all(count[reference] == 1 for count in counts)
    }
    return [by_reference.get(reference) if reference else None for reference in sent], reason


def _reference(system_ref: object) -> bytes | None:
    """Return equal bytes for references equal as JSON: 1.0 is 1, keys have no order."""
    if system_ref is None or system_ref is msgspec.UNSET:
        return None
    return encode_json(_plain_numbers.decode(encode_json(system_ref)), in_order=True)


def _plain_number(text: str) -> int | float:
    number = float(text)
    return int(number) if number.is_integer() else number


_plain_numbers: Final = msgspec.json.Decoder(float_hook=_plain_number)


def _outcome(index: int, result: _Result | None, reason: str) -> RecordOutcome:
    if result is None:
        return RecordOutcome(index=index, status="ambiguous", code="RESULTS_DO_NOT_MATCH", message=reason)
    code, message = _code_and_message(result.error)
    failed = result.error is not None or (result.status or "").upper() in {"FAILED", "ERROR"}
    if result.status is None and not failed:
        return RecordOutcome(
            index=index, status="ambiguous", code="NO_STATUS", message="the response does not show its status"
        )
    status = "failed" if failed else str(result.status).lower()
    return RecordOutcome(index=index, status=status, id=result.id, code=code, message=message)


def _code_and_message(error: _Error | str | None) -> tuple[str | None, str | None]:
    if isinstance(error, _Error):
        return None if error.code is None else str(error.code), error.message
    return None, error
