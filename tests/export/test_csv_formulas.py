"""CSV files for spreadsheets: text that a spreadsheet may run as a formula gets an apostrophe."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aiwyn_async import AiwynClient
from aiwyn_async.errors import AiwynError, ConfigurationError, ServerError
from aiwyn_async.export import export
from aiwyn_async.sandbox import Sandbox
from broken_exports import is_late
from fault_server import READ, FaultServer, http_response, send

STARTS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "\0=1",
    "\uff1d1+1",
    "\uff201",
    '=HYPERLINK("https://evil.test","x")',
    "-5",
    "+1 555",
]
PLAIN = ["", "a=1", " =1", "1-2", "'=1", "ü", "{}", "0"]
NUMBERS = [-5, -5.25, 1e30, -1e-7, 0, 12]


class Row(msgspec.Struct, rename={"note": "=note", "amount": "-amount", "other": "@other"}, kw_only=True):
    id: int | str
    note: str | None = None
    amount: Decimal | None = None
    other: list[str] | str | int | None = None


def rows() -> list[dict[str, Any]]:
    texts: list[dict[str, Any]] = [{"=note": text, "@other": text} for text in (*STARTS, *PLAIN)]
    numbers: list[dict[str, Any]] = [
        {"-amount": number, "@other": number if isinstance(number, int) else None} for number in NUMBERS
    ]
    listed: list[dict[str, Any]] = [{"@other": ["=1", "-2"]}, {"=note": None}]
    return [{"id": number, **row} for number, row in enumerate([*texts, *numbers, *listed], 1)]


def read_csv(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


async def written(path: Path, sent: list[dict[str, Any]], **options: Any) -> list[list[str]]:
    body = msgspec.json.encode({"items": sent, "totalCount": len(sent)})
    empty = msgspec.json.encode({"items": [], "totalCount": len(sent)})
    async with (
        FaultServer(
            [READ, send(http_response(body=body)), *[READ, send(http_response(body=empty))] * 3]
        ) as server,
        AiwynClient(base_url=server.url, token="t") as aiwyn,
    ):
        await export(aiwyn.collection("/x").list().decode_as(Row), path, **options)
    return read_csv(path)


async def test_formulas_are_escaped_in_texts_and_in_the_header(tmp_path: Path) -> None:
    header, *lines = await written(tmp_path / "x.csv", rows(), csv_escape_formulas=True)
    assert header == ["id", "'=note", "'-amount", "'@other"]
    notes = [line[1] for line in lines]
    assert notes[: len(STARTS)] == [f"'{text}" for text in STARTS]
    assert notes[len(STARTS) :][: len(PLAIN)] == PLAIN
    amounts = [line[2] for line in lines if line[2]]
    assert [Decimal(amount) for amount in amounts] == [Decimal(str(number)) for number in NUMBERS]


async def test_text_in_a_column_of_numbers_is_escaped_and_numbers_are_not(tmp_path: Path) -> None:
    sent = [{"id": key} for key in (-5, "=1+1", "-5", "@x", "+1x", "a")]
    _, *lines = await written(tmp_path / "x.csv", sent, csv_escape_formulas=True)
    assert [line[0] for line in lines] == ["-5", "'=1+1", "-5", "'@x", "'+1x", "a"]


async def test_converted_rows_are_escaped_too(tmp_path: Path) -> None:
    # A number as text makes the page take the exact path.
    sent = [{"id": 1, "-amount": "-5.50", "=note": "=1"}, {"id": 2, "-amount": " -6 ", "=note": "-x"}]
    _, *lines = await written(tmp_path / "x.csv", sent, csv_escape_formulas=True)
    assert [line[1] for line in lines] == ["'=1", "'-x"]
    assert [Decimal(line[2]) for line in lines] == [Decimal("-5.50"), Decimal(-6)]


async def test_without_the_option_every_text_is_as_sent(tmp_path: Path) -> None:
    header, *lines = await written(tmp_path / "x.csv", rows())
    assert header == ["id", "=note", "-amount", "@other"]
    assert [line[1] for line in lines][: len(STARTS) + len(PLAIN)] == [*STARTS, *PLAIN]


@pytest.mark.parametrize("suffix", [".parquet", ".duckdb", ".jsonl", ".ndjson"])
async def test_other_formats_refuse_the_option(suffix: str, client: AiwynClient, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"csv_escape_formulas=True is for \.csv files.*; remove it"):
        await export(client.invoices.list(), tmp_path / f"x{suffix}", csv_escape_formulas=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("first", [True, False])
async def test_resumed_export_cannot_mix_both(
    first: bool, firm: tuple[Sandbox, AiwynClient], tmp_path: Path
) -> None:
    box, aiwyn = firm
    path = tmp_path / "x.csv"
    box.faults.add("invoices.list", times=99, status=500, match=is_late)
    with pytest.raises(ServerError):
        await export(aiwyn.invoices.list(page_size=20), path, csv_escape_formulas=first)
    box.faults.clear()
    for reason in ("another format", "already exists"):
        with pytest.raises(AiwynError, match=reason):
            await export(aiwyn.invoices.list(page_size=20), path, resume=True, csv_escape_formulas=not first)
        await export(aiwyn.invoices.list(page_size=20), path, resume=True, csv_escape_formulas=first)
    assert len(read_csv(path)) == 601
