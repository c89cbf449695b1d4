"""Checkpoints and bookmark files with mutations: accepted, or a CheckpointError."""

from __future__ import annotations

import contextlib
from pathlib import Path

from hypothesis import HealthCheck, given, settings

from aiwyn_async import Checkpoint, CheckpointError, FileState
from mutated import EXAMPLES, as_bytes, mutated

CHECKPOINT = Checkpoint(
    endpoint="invoices", query="abc", position={"after": [1, "x", None], "yielded": 30, "next": 4}
).to_json()


@settings(max_examples=EXAMPLES, deadline=None)
@given(mutated(CHECKPOINT))
def test_mutated_checkpoint_raises_only_checkpoint_errors(text: str) -> None:
    for content in (text, as_bytes(text)):
        with contextlib.suppress(CheckpointError):
            Checkpoint.from_json(content)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mutated('{"invoices":"text","clients":"{\\"version\\":1}"}'))
def test_mutated_bookmark_file_raises_only_checkpoint_errors(tmp_path: Path, text: str) -> None:
    state = FileState(tmp_path / "state.json")
    state.path.write_bytes(as_bytes(text))
    with contextlib.suppress(CheckpointError):
        state.get("invoices")
