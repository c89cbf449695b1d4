"""A dlt destination that writes rows as records."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final

import dlt
from anyio.from_thread import start_blocking_portal
from dlt.common.destination import Destination

from aiwyn_async import errors
from aiwyn_async._core.checks import check_callback
from aiwyn_async._core.files import disk_errors, local_path
from aiwyn_async._http.messages import encode_json
from aiwyn_async._resources.records import BATCHES_IN_FLIGHT, MAX_BATCH
from aiwyn_async.client import AiwynClient
from aiwyn_async.errors import ConfigurationError, PartialWriteError
from aiwyn_async.models.records import RecordOutcome, WriteReport

logger: Final = logging.getLogger("aiwyn_async.dlt")

COLUMNS: Final = ("type", "systemRef", "attributes")
VARIANT: Final = re.compile(r"(?:\u25b6|__)v_\w+$")
"""What dlt appends to the name of a column for values of another type than the first."""

Failed = tuple[Mapping[str, Any], str]
"""A row, and why it was not written."""


def aiwyn_destination(
    connect: Callable[[], AiwynClient] = AiwynClient, *, dead_letters: str | Path | None = None
) -> Destination[Any, Any]:
    """Return ``records.upsert()`` as a dlt destination.

    Rows are records: ``type``, ``systemRef`` and ``attributes``, the last two of any depth. Each request has
    100 of them, and four requests are sent at once. If a request fails, the load stays pending, and dlt
    sends these 400 rows again: an upsert with a ``systemRef`` can be repeated.

    Args:
        connect: returns a new client, one per 400 rows; by default of the environment or the profile.
        dead_letters: a JSON Lines file, to which each refused row is appended, as ``row`` and ``error``; the
            load continues. Rows that dlt sends again may be appended again. Without it, a refused row raises
            ``PartialWriteError`` once those sent with it are written, and the load stays pending.

    Raises:
        ConfigurationError: ``dead_letters`` is a URL, or ``connect`` is not a function.
    """
    check_callback("connect", connect)
    letters = None if dead_letters is None else _DeadLetters(local_path(dead_letters))

    def aiwyn(rows: Any, table: Any) -> None:
        records = [_without_variants(row, table["columns"]) for row in rows]
        with start_blocking_portal("asyncio") as portal:
            failed, report = portal.call(_write, connect, records)
        if not failed:
            return
        if letters is None:
            raise PartialWriteError(
                f"{len(failed)} of {len(records)} rows were refused: {failed[0][1]}; correct them, or pass "
                "dead_letters= to continue without them",
                report=report,
            )
        letters.append(failed)
        logger.warning("%d of %d rows were refused; see %s", len(failed), len(records), letters.path)

    created: Destination[Any, Any] = dlt.destination(
        aiwyn,
        # 10,000 records at 20 ms per request take 3.1 s; 7.8 s with one request per client and batch.
        batch_size=MAX_BATCH * BATCHES_IN_FLIGHT,
        name="aiwyn",
        max_parallel_load_jobs=1,
    )()
    return created


async def _write(
    connect: Callable[[], AiwynClient], rows: Sequence[Mapping[str, Any]]
) -> tuple[list[Failed], WriteReport]:
    """Write rows; return those that the server, or this client, refuses, and the report of the others.

    Raises:
        PartialWriteError: a request failed, so its rows are not known to be written.
        AuthenticationError, PermissionDeniedError: the credentials are refused.
    """
    async with connect() as aiwyn:
        failed: list[Failed] = []
        good: list[Mapping[str, Any]] = []
        for row in rows:
            error = _refusal(aiwyn, row)
            failed += [(row, error)] if error else []
            good += [] if error else [row]
        write = aiwyn.records.upsert(good)
        async with aclosing(aiter(write)) as outcomes:
            failed += [
                (good[outcome.index], f"{outcome.code}: {outcome.message}")
                async for outcome in outcomes
                if _is_refused(outcome)
            ]
    unknown = [outcome for outcome in write.report.problems if not _is_refused(outcome)]
    if unknown:
        raise PartialWriteError(
            f"{len(unknown)} of {len(rows)} rows were not confirmed: {unknown[0].code}: {unknown[0].message}",
            report=write.report,
        )
    return failed, write.report


def _refusal(aiwyn: AiwynClient, row: Mapping[str, Any]) -> str | None:
    """Return why a row cannot be sent as a record, or None."""
    others = sorted(row.keys() - set(COLUMNS))
    if others:
        return f"unknown columns: {', '.join(others)}; a record has {', '.join(COLUMNS)}"
    if row.get("systemRef") is None:
        return "systemRef is missing, without which a repeated upsert creates a second record"
    try:
        aiwyn.records.upsert([row])  # sends nothing
    except ConfigurationError as error:
        return f"the row {str(error).removeprefix('record 0 ')}"
    return None


def _is_refused(outcome: RecordOutcome) -> bool:
    """Return whether the server refused one record, not the request."""
    code = outcome.code or ""
    return outcome.status == "failed" and not code.startswith("HTTP_") and code not in errors.__all__


def _without_variants(row: Mapping[str, Any], columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row with the values of variant columns under the names that they were yielded with."""
    return {
        VARIANT.sub("", name) if columns.get(name, {}).get("variant") else name: value
        for name, value in row.items()
        if value is not None
    }


class _DeadLetters:
    """Appends rows to a file of mode 0600, from any thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    def append(self, failed: Iterable[Failed]) -> None:
        """Append rows; they are on disk when this returns."""
        lines = b"".join(encode_json({"row": row, "error": error}) + b"\n" for row, error in failed)
        with self._lock, disk_errors(self.path):
            handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(handle, "ab") as file:
                file.write(b"\n" + lines if self._is_cut_off() else lines)
                file.flush()
                os.fsync(file.fileno())

    def _is_cut_off(self) -> bool:
        """Return whether the last line has no end, as after a full disk or a kill."""
        if not self.path.stat().st_size:
            return False
        with self.path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read() != b"\n"
