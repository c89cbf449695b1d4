"""The API's documentation: operations, their fields and examples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

OPERATIONS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "operations.json").read_text())
WITH_PATH = {f"{op['method']} {op['path']}": op for op in OPERATIONS if op["path"]}


def example_body(operation: dict[str, Any]) -> dict[str, Any]:
    """Return the operation's example response, built from its documented fields."""
    kinds = {field["name"]: field.get("type") for field in operation["response_fields"]}
    body: dict[str, Any] = {}
    for field in operation["response_fields"]:
        *parents, leaf = field["name"].split(".")
        parent_object = body
        for depth, parent in enumerate(parents):
            inner = parent_object[parent]
            parent_object = inner[0] if kinds[".".join(parents[: depth + 1])] == "array" else inner
        has_parts = any(name.startswith(f"{field['name']}.") for name in kinds)
        empty: dict[str, Any] = {"array": [{}] if has_parts else [], "object": {}}
        parent_object[leaf] = empty.get(field.get("type", ""), field.get("example"))
    return body


def example_row(name: str, items: str) -> dict[str, Any]:
    """Return an example row: an item of the list under ``items``, or the by-id object."""
    body = example_body(WITH_PATH[name])
    rows = body.get(items)
    row: dict[str, Any] = rows[0] if isinstance(rows, list) and rows else body
    return row
