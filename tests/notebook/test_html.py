"""What notebooks show of pages, reads and reports."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aiwyn_async import (
    Aiwyn,
    AiwynClient,
    Checkpoint,
    Invoice,
    ListReport,
    MissingRange,
    Page,
    PageMeta,
    PullReport,
    RecordOutcome,
    WriteReport,
    deferred,
)
from aiwyn_async.export import ExportResult, export
from aiwyn_async.sandbox import Sandbox
from secrecy import CANARY

HOSTILE = '<script>alert("1")</script><img src=x onerror=y>'
TAGS = {"div", "p", "table", "tr", "td", "th", "progress"}


class Reader(HTMLParser):
    """Collects tags, attributes and the cells of each line; refuses what no table of ours has."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.lines: list[list[str]] = []
        self.text: str = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS
        assert {name for name, _ in attrs} <= {"style", "class"}
        self._open.append(tag)
        if tag == "tr":
            self.lines.append([])
        if tag in {"td", "th"}:
            self.lines[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._open[-1] in {"td", "th"}:
            self.lines[-1][-1] += data


def read(value: Any) -> Reader:
    return Reader(value._repr_html_())


def page_of(items: list[Any]) -> Page[Any]:
    checkpoint = Checkpoint(endpoint="/x", query="q", position={})
    meta = PageMeta(200, None, (), 0.0, 0)
    return Page(items, count=len(items), number=0, checkpoint=checkpoint, meta=meta, raw=list)


REPORTS: dict[str, Any] = {
    "list": ListReport(unknown_fields={HOSTILE: HOSTILE}, rows_received=3),
    "pull": PullReport(missing=[MissingRange(1, None, HOSTILE)], fallback_reason=HOSTILE),
    "write": WriteReport(problems=[RecordOutcome(index=0, status="failed", code=HOSTILE, message=HOSTILE)]),
    "export": ExportResult(HOSTILE, 1, 1, ListReport(unknown_fields={HOSTILE: 1}), 0.1),
    "dict": page_of([{HOSTILE: HOSTILE, "nested": {HOSTILE: [HOSTILE]}}]),
    "row": page_of([Invoice(id=1, client_name=HOSTILE)]),
    "raw": page_of([msgspec.Raw(msgspec.json.encode({HOSTILE: HOSTILE})), msgspec.Raw(HOSTILE.encode())]),
    "other": page_of([HOSTILE, b"<script>", ["<script>"]]),
}


@pytest.mark.parametrize("name", REPORTS)
def test_hostile_text_is_escaped(name: str) -> None:
    html = REPORTS[name]._repr_html_()
    assert "<script" not in html
    assert "<img" not in html
    assert "<script" in Reader(html).text


def test_hidden_characters_are_shown_as_their_code() -> None:
    text = read(page_of([{"name": "a\u202eb\x00\ud800\u200bc"}])).text
    assert r"a\u202eb\u0000\ud800\u200bc" in text


def test_dollar_signs_are_not_taken_for_formulas() -> None:
    page: Any = page_of([{"a": "$1 and $2"}])
    assert page._repr_html_().startswith('<div class="tex2jax_ignore mathjax_ignore">')


def test_page_shows_twenty_rows_and_their_columns() -> None:
    rows = [Invoice(id=key, client_name="x" * 500, notes=None) for key in range(50)]
    shown = read(page_of(rows))
    assert shown.lines[0] == ["id", "client_name"]
    assert [line[0] for line in shown.lines[1:]] == [str(key) for key in range(20)]
    assert len(shown.lines[1][1]) <= 60
    assert "30 more rows" in shown.text
    assert "columns without a value" in shown.text


def test_wide_rows_have_at_most_thirty_columns() -> None:
    shown = read(page_of([{f"column{number}": number for number in range(200)}]))
    assert len(shown.lines[0]) == 30
    assert "170 more columns" in shown.text


@pytest.mark.parametrize("items", [[], [{}], [None]])
def test_page_without_columns_is_shown(items: list[Any]) -> None:
    assert f"{len(items)} rows" in read(page_of(items)).text


def test_reports_show_values_and_at_most_twenty_lines_per_field() -> None:
    missing = [MissingRange(key, key + 1, "status 500") for key in range(50)]
    shown = read(PullReport(rows_yielded=7, missing=missing, finished=True))
    assert ["rows_yielded", "7"] in shown.lines
    assert sum(line[0] == "missing" for line in shown.lines) == 20
    assert "more lines" in shown.text
    assert "bad_rows" not in shown.text  # zero, as usual


def test_credentials_in_the_url_of_a_dataset_are_not_shown() -> None:
    for url in (f"s3://user:{CANARY}@bucket/a/", f"https://host/a/?sig={CANARY}", f"s3://{CANARY}@b/"):
        shown = read(ExportResult(url, 1, 1, ListReport(), 0.1)).text
        assert CANARY not in shown
        assert re.match(r"\w+://", shown)


async def test_reads_and_results_are_shown(client: AiwynClient, sandbox: Sandbox, tmp_path: Path) -> None:
    reads: list[Any] = [client.invoices.list(), client.invoices.pull(), client.invoices.changes()]
    for each in reads:
        assert "of Invoice" in read(each).text
        assert "did not reach" not in read(each).text  # it was not used yet
        await each.collect()
        assert ["rows_yielded", "60"] in read(each).lines
        assert sandbox.api_key not in each._repr_html_()
    result = await export(client.invoices.pull(), tmp_path / "invoices.csv")
    assert "60 rows" in read(result).text
    late = await client.invoices.list().decode_as(deferred(Invoice))
    assert "total_amount" in read(late).text
    outcome = await client.records.upsert([{"type": "A", "attributes": {}}])
    assert "1 records" in read(outcome).text


def test_blocking_reads_and_writes_are_shown() -> None:
    with Sandbox(invoices=60, seed=7) as box, Aiwyn(base_url=box.url, api_key=box.api_key) as aiwyn:
        rows = aiwyn.invoices.list()
        rows.collect()
        assert ["rows_yielded", "60"] in read(rows).lines
        assert "1 records" in read(aiwyn.records.upsert([{"type": "A", "attributes": {}}])).text
        assert box.api_key not in repr(aiwyn)
