"""HTML of pages and reports, for notebooks. Every value is text of an unknown author."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final, cast

import msgspec

MAX_ROWS: Final = 20
MAX_COLUMNS: Final = 30
MAX_CHARACTERS: Final = 60

_CELL: Final = 'style="text-align:left;white-space:nowrap"'


def rows_html(title: str, rows: Sequence[Any]) -> str:
    """Return a table of the first rows, which scrolls sideways; columns without a value are left out."""
    shown = [_as_dict(row) for row in islice(rows, MAX_ROWS)]
    names = dict.fromkeys(name for row in shown for name in row)
    filled = [name for name in names if any(row.get(name) is not None for row in shown)]
    left_out = {
        "more rows": len(rows) - len(shown),
        "more columns": max(0, len(filled) - MAX_COLUMNS),
        "columns without a value": len(names) - len(filled),
    }
    notes = [f"{count:,} {noun}" for noun, count in left_out.items() if count]
    columns = filled[:MAX_COLUMNS]
    table: list[list[object]] = []
    if columns:
        table.append([*columns])
        table.extend([row.get(name) for name in columns] for row in shown)
    return _document(title, table, "; ".join(notes), has_header=True)


def fields_html(title: str, fields: Mapping[str, object]) -> str:
    """Return a table of names and values; a list or a dict has a line per item."""
    lines: list[tuple[str, object]] = []
    left_out = 0
    for name, value in fields.items():
        items = _items(value)
        lines += [(name, item) for item in items[:MAX_ROWS]]
        left_out += max(0, len(items) - MAX_ROWS)
    return _document(title, lines, f"{left_out:,} more lines" if left_out else "", has_header=False)


def changed_fields(value: msgspec.Struct) -> dict[str, object]:
    """Return the fields of a struct that do not have their default value; every field has one."""
    defaults = msgspec.structs.asdict(type(value)())
    current = msgspec.structs.asdict(value)
    return {name: each for name, each in current.items() if each != defaults[name]}


def _items(value: object) -> list[object]:
    if isinstance(value, Mapping):
        pairs = cast("Mapping[object, object]", value)
        return [f"{name}: {item}" for name, item in pairs.items()]
    return list(cast("Iterable[object]", value)) if isinstance(value, (list, tuple)) else [value]


def _document(title: str, lines: Iterable[Sequence[object]], note: str, *, has_header: bool) -> str:
    # Without the classes, a notebook takes the text between two dollar signs for a formula.
    parts = [f'<div class="tex2jax_ignore mathjax_ignore"><p>{_text(title, 500)}</p>']
    parts.append('<div style="overflow-x:auto"><table>')
    for number, line in enumerate(lines):
        kind = "th" if has_header and number == 0 else "td"
        cells = "".join(f"<{kind} {_CELL}>{_text(value)}</{kind}>" for value in line)
        parts.append(f"<tr>{cells}</tr>")
    parts.append(f"</table></div>{f'<p>{_text(note)}</p>' if note else ''}</div>")
    return "".join(parts)


def _as_dict(row: Any) -> dict[str, Any]:
    if isinstance(row, msgspec.Raw):
        try:
            row = msgspec.json.decode(row)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            row = {"raw": bytes(row)}
    if isinstance(row, msgspec.Struct):
        return {name: _attribute(row, name) for name in row.__struct_fields__}
    if isinstance(row, dict):
        return {str(name): value for name, value in cast("dict[object, Any]", row).items()}
    return {"value": row}


def _attribute(row: msgspec.Struct, name: str) -> object:
    try:
        return getattr(row, name)
    except Exception as error:  # noqa: BLE001 (a deferred value that does not decode)
        return f"({type(error).__name__})"


def _text(value: object, limit: int = MAX_CHARACTERS) -> str:
    """Return escaped text of a value, without characters that hide or reorder other text."""
    text = "" if value is None else str(value)
    text = text if len(text) <= limit else f"{text[: limit - 1]}…"
    from html import escape  # noqa: PLC0415 (loaded only if needed)

    return escape("".join(f"\\u{ord(each):04x}" if _is_hidden(each) else each for each in text))


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
