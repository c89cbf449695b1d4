"""The outcome of each record in the response of a write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from aiwyn_async._decoding.malformed import is_json, replace_lone_surrogates
from aiwyn_async._http.error_mapping import server_message
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
    records: list[_Result] | None = None


class _Response(msgspec.Struct):
    data: _Data | None = None
    error: _Error | str | None = None
    errors: Any = None


_response: Final = msgspec.json.Decoder(_Response, strict=False)


def parse_outcomes(batch: Batch, body: bytes, mask: Callable[[str], str]) -> list[RecordOutcome]:
    """Return one outcome per record; all are ambiguous if one is not shown.

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
    body = body if is_json(body) else replace_lone_surrogates(body)
    try:
        response = _response.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        text = "the response does not say which records were written"
        return _same(batch, "ambiguous", "UNREADABLE_RESPONSE", text)
    results = response.data.records if response.data is not None else None
    if results is None and (response.error is not None or response.errors):
        code, _ = _code_and_message(response.error)
        message = server_message(msgspec.json.decode(body))
        return _same(batch, "ambiguous", code or "ERROR", message or "the response contains an error")
    in_order = None
    if results is not None and not _shows_known_references(batch, results):
        text = "the response shows references of records that were not sent; it belongs to another request"
    elif results is None or len(results) != len(batch.records):
        text = f"the response has {len(results or [])} results for {len(batch.records)} records"
    else:
        text = "the references in the response are not in the order of the records"
        in_order = _in_order_of(batch, results)
    if in_order is None:
        return _same(batch, "ambiguous", "RESULTS_DO_NOT_MATCH", text)
    return [_outcome(batch.start + index, result) for index, result in enumerate(in_order)]


def _shows_known_references(batch: Batch, results: Sequence[_Result]) -> bool:
    """Return whether every reference in a response was sent."""
    shown = [result for result in results if _shows_reference(result)]
    if not shown or any(record.system_ref is None for record in batch.records):
        return True  # to a record without a reference the server may assign one
    sent = {_reference(record.system_ref) for record in batch.records}
    return all(_reference(result.system_ref) in sent for result in shown)


def _in_order_of(batch: Batch, results: Sequence[_Result]) -> Sequence[_Result] | None:
    """Return the results in the order of the records, if all show a reference.

    None if a reference is out of order and the others do not identify the results.
    """
    sent = [_reference(record.system_ref) for record in batch.records]
    shown = [_reference(result.system_ref) if _shows_reference(result) else None for result in results]
    if all(
        received is None or received == expected or record.system_ref is None
        for record, expected, received in zip(batch.records, sent, shown, strict=True)
    ):
        return results
    by_reference = dict(zip(shown, results, strict=True))
    return [by_reference[reference] for reference in sent] if by_reference.keys() == set(sent) else None


def _shows_reference(result: _Result) -> bool:
    return result.system_ref is not msgspec.UNSET and result.system_ref is not None


def _reference(system_ref: object) -> bytes:
    """Return equal bytes for references equal as JSON: 1.0 is 1, keys have no order."""
    return encode_json(_plain_numbers.decode(encode_json(system_ref)), in_order=True)


def _plain_number(text: str) -> int | float:
    number = float(text)
    return int(number) if number.is_integer() else number


_plain_numbers: Final = msgspec.json.Decoder(float_hook=_plain_number)


def _outcome(index: int, result: _Result) -> RecordOutcome:
    code, message = _code_and_message(result.error)
    failed = result.error is not None or (result.status or "").upper() in {"FAILED", "ERROR"}
    if result.status is None and not failed:
        return RecordOutcome(
            index=index, status="ambiguous", code="NO_STATUS", message="the response has no status"
        )
    status = "failed" if failed else str(result.status).lower()
    return RecordOutcome(index=index, status=status, id=result.id, code=code, message=message)


def _code_and_message(error: _Error | str | None) -> tuple[str | None, str | None]:
    if isinstance(error, _Error):
        return None if error.code is None else str(error.code), error.message
    return None, error
