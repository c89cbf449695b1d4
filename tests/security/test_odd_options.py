"""Numbers of hundreds of digits, columns without a name and links in odd positions are handled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aiwyn_async import AiwynClient, F
from aiwyn_async.config import Config
from aiwyn_async.errors import AiwynError, ConfigurationError
from aiwyn_async.export import export
from aiwyn_async.sandbox import Sandbox

HUGE = 10**400
NUMBERS = [
    "max_concurrency",
    "retries",
    "connect_timeout",
    "read_timeout",
    "attempt_timeout",
    "deadline",
    "backoff_base",
    "throttled_backoff_base",
    "backoff_cap",
    "max_retry_after",
    "retry_budget",
    "max_response_bytes",
]


@pytest.mark.parametrize("option", NUMBERS)
@pytest.mark.parametrize(
    "value", [HUGE, -HUGE, "9" * 400, "9" * 5000, "1e400", "nan"], ids=lambda v: str(v)[:4]
)
def test_number_of_hundreds_of_digits_is_refused(
    option: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError, match=option):
        Config.load(**{"base_url": "https://a.test", "token": "t", option: value})
    if isinstance(value, str):
        monkeypatch.setenv(f"AIWYN_{option.upper()}", value)
        with pytest.raises(ConfigurationError, match=option):
            Config.load(base_url="https://a.test", token="t")
    elif option in {"deadline", "read_timeout"}:
        with pytest.raises(ConfigurationError, match=option):
            AiwynClient(base_url="https://a.test", token="t").with_options(**{option: value})


@pytest.mark.parametrize("option", NUMBERS)
def test_number_that_is_not_utf_8_names_its_variable(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variable = f"AIWYN_{option.upper()}"
    monkeypatch.setenv(variable, "\udcff")  # the byte FF
    with pytest.raises(ConfigurationError, match=f"^{variable}: {option}: the value cannot be read"):
        Config.load(base_url="https://a.test", token="t")


@pytest.mark.parametrize(
    "profile", [5, b"prod", ["prod"], F.id == 1], ids=["int", "bytes", "list", "condition"]
)
def test_profile_of_another_type_is_refused(profile: Any) -> None:
    with pytest.raises(ConfigurationError, match="profile must be the name of a profile, not "):
        AiwynClient(base_url="https://a.test", token="t", profile=profile)


@pytest.mark.parametrize("option", NUMBERS)
async def test_largest_number_of_an_option_works(option: str, sandbox: Sandbox) -> None:
    limit = 2**53 if option in {"max_concurrency", "retries", "retry_budget", "max_response_bytes"} else 1e308
    options: dict[str, Any] = {option: limit}
    async with AiwynClient(base_url=sandbox.url, api_key=sandbox.api_key, **options) as aiwyn:
        assert len(await aiwyn.invoices.list().collect()) == 60


@pytest.mark.parametrize(
    "read",
    [
        lambda aiwyn: aiwyn.invoices.list(page_size=HUGE),
        lambda aiwyn: aiwyn.invoices.pull(ranges=HUGE),
        lambda aiwyn: aiwyn.invoices.get(HUGE),
        lambda aiwyn: aiwyn.invoices.search(F.id == 10**5000),
        lambda aiwyn: aiwyn.invoices.list(client_id=10**5000),
        lambda aiwyn: export(aiwyn.invoices.list(), "x.parquet", round_money=HUGE),
        lambda aiwyn: export(aiwyn.invoices.list(), "x.parquet", date_columns=[""]),
    ],
)
async def test_argument_of_hundreds_of_digits_is_a_typed_error(
    read: Callable[[AiwynClient], Any], client: AiwynClient
) -> None:
    with pytest.raises(AiwynError):
        await read(client)


@pytest.mark.parametrize(
    "options",
    [
        {"port": HUGE},
        {"port": 65536},
        {"port": -1},
        {"seed": HUGE},
        {"latency": float("nan")},
        {"latency": HUGE},
        {"rate_limit": HUGE},
        {"rate_limit": float("inf")},
        {"rate_limit": float("nan")},
        {"rate_limit": 0},
    ],
    ids=str,
)
def test_sandbox_refuses_odd_numbers_when_it_is_created(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"port|seed|latency|rate_limit|per_second"):
        Sandbox(**options)


class Unnamed(msgspec.Struct, rename={"empty": ""}):
    id: int
    empty: str | None = None


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".duckdb", ".jsonl"])
async def test_column_without_a_name_is_exported(suffix: str, client: AiwynClient, tmp_path: Path) -> None:
    result = await export(client.invoices.pull().decode_as(Unnamed), tmp_path / f"x{suffix}")
    assert result.rows == 60
    assert result.report.complete


@pytest.mark.parametrize("mode", ["force", "resume", "replace", None])
@pytest.mark.parametrize("target", ["folder", "file", "nothing"])
async def test_link_inside_a_staging_directory_is_removed_and_not_followed(
    target: str, mode: str | None, client: AiwynClient, tmp_path: Path
) -> None:
    outside, staging = tmp_path / "outside", tmp_path / ".x.csv.partial"
    staging.mkdir(mode=0o700)
    if target == "folder":
        outside.mkdir()
        (outside / "precious").write_text("x")
    elif target == "file":
        outside.write_text("x")
    (staging / "part-000000").symlink_to(outside)
    (staging / "other").symlink_to(outside)
    options: dict[str, Any] = {mode: True} if mode else {}
    await export(client.invoices.list(), tmp_path / "x.csv", **options)
    assert not staging.exists()
    if target != "nothing":
        assert ((outside / "precious") if target == "folder" else outside).read_text() == "x"
