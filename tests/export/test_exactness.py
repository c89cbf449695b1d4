# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false
"""Amounts that pyarrow's JSON reader silently changes are refused; exports without parts leave nothing."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from decimal import Context, Decimal
from pathlib import Path

import duckdb
import msgspec
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiwyn_async import (
    AiwynClient,
    AuthenticationError,
    ConfigurationError,
    DecodeError,
    IncompleteError,
    Invoice,
)
from aiwyn_async.arrow._rows import PageRows
from aiwyn_async.arrow._table import RowSchema
from aiwyn_async.export import export
from aiwyn_async.models.base import Model
from aiwyn_async.sandbox import Sandbox
from raw_pages import raw_page


@pytest.fixture
async def firm() -> AsyncIterator[tuple[Sandbox, AiwynClient]]:
    async with (
        Sandbox(invoices=50, seed=11) as box,
        AiwynClient(base_url=box.url, api_key=box.api_key, backoff_base=0) as aiwyn,
    ):
        yield box, aiwyn


def set_first_total(box: Sandbox, number: bytes) -> None:
    box.faults.add(
        "invoices.list",
        mutate=lambda body: re.sub(rb'"totalAmount":[0-9.]+', b'"totalAmount":' + number, body, count=1),
    )


@pytest.mark.parametrize(
    "number", [b"3.5e29", b"350000000000000000000000000000", b"1e29", b"1.0E+29", b"-3.5e29"]
)
async def test_amount_too_large_for_its_column_is_refused(
    number: bytes, firm: tuple[Sandbox, AiwynClient], tmp_path: Path
) -> None:
    box, aiwyn = firm
    set_first_total(box, number)

    with pytest.raises(DecodeError, match=r"id \d+\): totalAmount: a column has 29 digits"):
        await export(aiwyn.invoices.list(), tmp_path / "x.parquet")

    assert not (tmp_path / "x.parquet").exists()


@pytest.mark.parametrize(
    "number", [b"99999999999999999999999999999.999999999", b"1e28", b"12345678901234567.123456789", b"1.5E2"]
)
async def test_amount_that_fits_is_exact(
    number: bytes, firm: tuple[Sandbox, AiwynClient], tmp_path: Path
) -> None:
    box, aiwyn = firm
    set_first_total(box, number)
    target = tmp_path / "x.parquet"

    await export(aiwyn.invoices.list(), target)

    assert pq.read_table(target)["totalAmount"][0].as_py() == Decimal(number.decode())
    read = duckdb.execute("SELECT totalAmount FROM read_parquet(?) LIMIT 1", [str(target)]).fetchall()
    assert read[0][0] == Decimal(number.decode())


literals = st.from_regex(r"-?(0|[1-9][0-9]{0,45})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
near_the_edge = st.builds(
    "{}{}e{}".format, st.integers(1, 9), st.sampled_from(["", ".5"]), st.integers(26, 40)
)


@settings(deadline=None, max_examples=400)
@given(number=literals | near_the_edge | st.integers(10**27, 10**40).map(str))
def test_amount_is_exact_or_refused(number: str) -> None:
    row = msgspec.Raw(b'{"id":1,"totalAmount":%s}' % number.encode())
    rows = PageRows([raw_page([row])], "raise", "id")
    exact = Decimal(number)
    # More digits than any amount, so that the test itself does not round.
    as_billionths = exact.scaleb(9, Context(prec=1000))
    fits = abs(exact) < 10**29 and as_billionths == as_billionths.to_integral_value()

    try:
        result = RowSchema(Invoice).table(rows)["totalAmount"][0].as_py()
    except DecodeError:
        assert not fits
    else:
        assert fits
        assert result == exact


async def test_export_without_parts_does_not_block_the_next(
    firm: tuple[Sandbox, AiwynClient], tmp_path: Path
) -> None:
    box, aiwyn = firm
    async with AiwynClient(base_url=box.url, api_key="wrong", backoff_base=0) as refused:
        with pytest.raises(AuthenticationError):
            await export(refused.invoices.list(), tmp_path / "x.jsonl")

    assert (await export(aiwyn.invoices.list(), tmp_path / "x.jsonl")).rows == 50


class Slim(Model, frozen=True, kw_only=True):
    id: int
    payments: list[dict[str, object]] | None = None


async def test_export_refuses_a_field_without_a_column_before_a_request(
    firm: tuple[Sandbox, AiwynClient], tmp_path: Path
) -> None:
    box, aiwyn = firm

    with pytest.raises(ConfigurationError, match="no Arrow or Parquet column"):
        await export(aiwyn.invoices.list().decode_as(Slim), tmp_path / "x.parquet")

    assert box.calls() == 0


@pytest.mark.parametrize("suffix", ["parquet", "csv", "duckdb"])
async def test_strict_export_of_a_row_that_does_not_decode_makes_no_file(
    suffix: str, firm: tuple[Sandbox, AiwynClient], tmp_path: Path
) -> None:
    box, aiwyn = firm
    set_first_total(box, b'"a lot"')
    target = tmp_path / f"x.{suffix}"

    with pytest.raises(IncompleteError, match="1 rows do not decode"):
        await export(aiwyn.invoices.list(strict=True, on_bad_row="skip"), target)
    assert not target.exists()
    set_first_total(box, b'"a lot"')  # all rows are read again
    with pytest.raises(IncompleteError, match="1 rows do not decode"):
        await export(aiwyn.invoices.list(strict=True, on_bad_row="skip"), target, resume=True)
    assert not target.exists()

    done = await export(aiwyn.invoices.list(on_bad_row="skip"), target, resume=True)
    assert (done.rows, done.report.bad_rows) == (49, 1)
