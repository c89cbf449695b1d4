"""Compressed JSONL and CSV: valid files of joined members and frames, with the rows of plain ones."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pytest

from aiwyn_async import AiwynClient, ConfigurationError
from aiwyn_async.export import export
from aiwyn_async.sandbox import Sandbox
from broken_exports import start_broken_export


def content_of(path: Path) -> bytes:
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes())
    with pa.CompressedInputStream(str(path), "zstd") as stream:
        return bytes(stream.read())


@pytest.mark.parametrize("codec", [".gz", ".zst"])
@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
async def test_compressed_file_has_the_bytes_of_a_plain_one(
    suffix: str, codec: str, firm: tuple[Sandbox, AiwynClient], tmp_path: Path
) -> None:
    box, aiwyn = firm
    plain, target = tmp_path / f"plain{suffix}", tmp_path / f"x{suffix}{codec}"
    await export(aiwyn.invoices.list(page_size=20), plain)
    # Its parts are those of two runs.
    await start_broken_export(box, aiwyn, target)
    done = await export(aiwyn.invoices.list(page_size=20), target, resume=True)

    assert (done.rows, done.bytes) == (600, target.stat().st_size)
    assert content_of(target) == plain.read_bytes()
    assert target.stat().st_size < plain.stat().st_size / 3
    again = tmp_path / f"again{suffix}{codec}"
    await export(aiwyn.invoices.list(page_size=20), again)
    await export(aiwyn.invoices.list(page_size=20), target, force=True)
    assert again.read_bytes() == target.read_bytes()


@pytest.mark.parametrize("suffix", [".jsonl.gz", ".jsonl.zst", ".csv.gz", ".csv.zst"])
async def test_compressed_file_without_rows_is_valid(
    suffix: str, firm: tuple[Sandbox, AiwynClient], tmp_path: Path
) -> None:
    _, aiwyn = firm
    target = tmp_path / f"x{suffix}"
    await export(aiwyn.invoices.list(start_date="2999-01-01"), target)
    assert target.stat().st_size > 0
    assert content_of(target).count(b"\n") == suffix.startswith(".csv")


async def test_compressed_targets_are_named_by_both_suffixes(
    firm: tuple[Sandbox, AiwynClient], tmp_path: Path
) -> None:
    box, aiwyn = firm
    for name in ("x.parquet.gz", "x.gz", "x.duckdb.zst", "x.csv.bz2"):
        with pytest.raises(ConfigurationError, match=r"suffix must be one of .*\.jsonl\.gz"):
            await export(aiwyn.invoices.list(), tmp_path / name)
    with pytest.raises(ConfigurationError, match="only datasets can be written to URLs"):
        await export(aiwyn.invoices.list(), "s3://bucket/x.csv.gz")
    with pytest.raises(ConfigurationError, match=r"is for \.csv files"):
        await export(aiwyn.invoices.list(), tmp_path / "x.jsonl.gz", csv_escape_formulas=True)
    assert box.calls() == 0
    done = await export(aiwyn.invoices.list(limit=3), tmp_path / "X.CSV.GZ", csv_escape_formulas=True)
    assert done.rows == 3
