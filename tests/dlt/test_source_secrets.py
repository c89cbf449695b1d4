"""Credentials are in no file, trace, state or error of a pipeline."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from aiwyn_async import (
    AiwynClient,
)
from aiwyn_async.dlt import aiwyn_source
from aiwyn_async.errors import RequestError
from aiwyn_async.sandbox import Sandbox
from loaded_tables import cause_in
from secrecy import CANARY, assert_no_secret

Connect = Callable[[], AiwynClient]


def test_credentials_are_in_no_file_and_no_trace(pipeline: Any, path: Path, tmp_path: Path) -> None:
    with Sandbox(invoices=20, seed=7, api_key=CANARY) as box:
        source = aiwyn_source(
            ["invoices", "payments"], connect=lambda: AiwynClient(base_url=box.url, api_key=CANARY)
        )
        pipeline.run(source)
    assert path.exists()
    assert_nothing_shows_canary(tmp_path, source, pipeline)


@pytest.mark.parametrize("repeated", ["in an error", "in a row"])
def test_credentials_that_the_server_repeats_are_in_no_file_trace_or_error(
    repeated: str, pipeline: Any, tmp_path: Path
) -> None:
    with Sandbox(invoices=20, seed=7, api_key=CANARY) as box:
        if repeated == "in a row":
            bad = f'"subtotal":"{CANARY}","x":'.encode()
            box.faults.add("invoices.search", every=1, mutate=lambda body: body.replace(b'"subtotal":', bad))
        else:
            box.faults.add("invoices.search", every=1, status=400, body=f'{{"errors": "{CANARY}"}}'.encode())
        connect = functools.partial(AiwynClient, base_url=box.url, api_key=CANARY)
        source = aiwyn_source(["invoices"], connect=connect)
        with pytest.raises(PipelineStepFailed) as raised:
            pipeline.run(source)
    assert CANARY not in str(raised.value)
    assert_no_secret(cause_in(raised.value, RequestError))
    assert_nothing_shows_canary(tmp_path, source, pipeline)


def assert_nothing_shows_canary(folder: Path, source: Any, pipeline: Any) -> None:
    trace = pipeline.last_trace
    for shown in (source, pipeline, trace, trace.asdict(), pipeline.state):
        assert CANARY not in repr(shown) + str(shown)
    files = [each for each in folder.rglob("*") if each.is_file()]
    assert len(files) > 5
    assert not [each for each in files if CANARY.encode() in each.read_bytes()]
