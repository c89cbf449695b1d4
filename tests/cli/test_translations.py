"""Errors of the library name flags, commands and variables on the command line, and no Python."""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import Any

import pytest

from aiwyn_async import ListOptions, PullOptions
from aiwyn_async._cli.app import COMMANDS, app
from aiwyn_async._cli.translations import FLAGS, RENAMED, flag_name, to_flags
from aiwyn_async._resources.invoices import Invoices
from aiwyn_async._resources.payments import Payments
from aiwyn_async._resources.records import Records
from aiwyn_async.export import export
from aiwyn_async.mcp import serve
from aiwyn_async.sandbox import Sandbox
from aiwyn_async.sync import sync
from command_line import Cli
from library_texts import library_texts

# Texts that no command can cause.
PYTHON_ONLY = re.compile(
    r"ack\(\) needs|make another plan|to_json\(\)|with_options\(\) cannot|was dropped while open"
    r"|deferred\(\) requires|did you mean 7\(\)|no JSON decodes to"
    r"|is read asynchronously|under trio|needs a running asyncio|an Arrow stream|of the type .* has no Arrow"
    r"|passed as token=|update\(\) has nothing|asyncio\.to_thread|SELECT |DROP |^7\(|MERGE |<\w+ |^[-\w]+/7"
)
PYTHON = re.compile(r"\b\w+\(\)|\b[a-z_]+=(?!7|[A-Z])|\baiwyn_async\b|=(?:True|False|None)\b|\bdecode_as\b")


def flags_of_commands() -> set[str]:
    names: set[str] = set()
    for command in COMMANDS:
        parameters = inspect.signature(app[command].default_command, eval_str=True).parameters  # type: ignore[arg-type]
        for parameter in parameters.values():
            if dataclasses.is_dataclass(parameter.default):
                names |= {field.name for field in dataclasses.fields(parameter.default)}
            else:
                names.add(parameter.name)
    return names


def keywords() -> set[str]:
    functions: tuple[Any, ...] = (
        export,
        sync,
        serve,
        Invoices.list,
        Invoices.search,
        Payments.list,
        Records.upsert,
    )
    names = {name for function in functions for name in inspect.signature(function).parameters}
    return names | set(ListOptions.__annotations__) | set(PullOptions.__annotations__)


def test_every_keyword_with_a_flag_is_translated() -> None:
    renamed = {"escape_formulas": "csv_escape_formulas", "extra_column": "extra"}
    flags = {renamed.get(name, name) for name in flags_of_commands()}
    assert flags & keywords() - {"to"} <= FLAGS
    assert flags >= FLAGS
    assert {flag_name(name) for name in RENAMED} == {"--escape-formulas", "--extra-column"}


@pytest.mark.parametrize("name", sorted(FLAGS))
def test_keyword_is_translated_wherever_texts_name_it(name: str) -> None:
    flag = flag_name(name)
    for text, expected in (
        (f"{name} must be an integer", f"{flag} must be an integer"),
        (f"{name}: 'x' is unknown; choose another", f"{flag}: 'x' is unknown; choose another"),
        (f"x exists; pass {name}=True to continue", f"x exists; pass {flag} to continue"),
        (f"{name}=True is for .csv files; remove it", f"{flag} is for .csv files; remove it"),
        (f"CSV has every digit; remove {name}", f"CSV has every digit; remove {flag}"),
        (f"JSONL has no columns; remove ids, {name} and round_money", None),
        (f"force and {name} are for datasets", f"--force and {flag} are for datasets"),
    ):
        translated = to_flags(text)
        assert flag in translated
        assert expected is None or translated == expected
    # Paths, quoted values and words of a server are not keywords.
    for text in (
        f"/data/{name}/x.csv exists",
        f"'{name}' is not a field",
        f"the server says: {name} must be 1",
    ):
        assert to_flags(text) == text


def test_no_text_of_the_library_gives_python_advice() -> None:
    texts = [(where, text) for where, text in library_texts() if not PYTHON_ONLY.search(text)]
    assert len(texts) > 250
    left = {where: to_flags(text) for where, text in texts if PYTHON.search(to_flags(text))}
    assert left == {}
    long_names = [name for name in FLAGS if "_" in name]
    named = re.compile(rf"(?<![-\w{{'\"/])(?:{'|'.join(long_names)})\b")
    assert {where: to_flags(text) for where, text in texts if named.search(to_flags(text))} == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("to try it, use aiwyn_async.sandbox.Sandbox", "to try it, pass --sandbox"),
        (
            "use https://, or pass allow_insecure_http=True",
            "use https://, or set AIWYN_ALLOW_INSECURE_HTTP=true",
        ),
        (
            'no search endpoint; set endpoints={"clients": {"search_path": ...}}',
            "no search endpoint; set search_path in the profile, in [profiles.NAME.endpoints.clients]",
        ),
        ("remove ids, date_columns, round_money and extra", None),
        ("partition_by and keep are for datasets", "--partition-by and --keep are for datasets"),
        (
            "the server says: page_size; limit=1; pass resume=True to start again",
            "the server says: page_size; limit=1; pass --resume to start again",
        ),
        ("the server says: page_size; resume=True", "the server says: page_size; resume=True"),
        ("no rows; pass paging='page' to read by page number", "no rows"),
        ("the limit of 5 columns is where ranges overlap", "the limit of 5 columns is where ranges overlap"),
    ],
)
def test_python_advice_is_replaced(text: str, expected: str | None) -> None:
    remaining = "remove --ids, --date-columns, --round-money and --extra-column"
    assert to_flags(text) == (expected or remaining)


@pytest.mark.parametrize(
    ("arguments", "env", "text"),
    [
        (["count", "invoices"], {"AIWYN_BASE_URL": ""}, "; to try without an account, pass --sandbox"),
        (["config", "show"], {"AIWYN_BASE_URL": ""}, "; to try without an account, run aiwyn sandbox"),
        (
            ["count", "invoices"],
            {"AIWYN_API_KEY": ""},
            "set AIWYN_API_KEY or AIWYN_TOKEN, or run aiwyn auth login",
        ),
        (["sync", "invoices", "--to", "x.csv"], {}, "use aiwyn export for a .csv file"),
        (
            ["export", "offices", "--to", "x.csv"],
            {},
            "rows without a type have no columns; export them to a .jsonl file\n",
        ),
        (["export", "invoices", "--to", "x.jsonl", "--round-money", "2"], {}, "remove --ids, --date-columns"),
        (
            ["export", "invoices", "--to", "x.csv", "--keep", "2"],
            {},
            "--partition-by and --keep are for datasets",
        ),
        (
            ["count", "invoices", "--sandbox", "--sandbox-invoices", "-5"],
            {},
            "--sandbox-invoices must not be",
        ),
        (["sync", "offices", "--to", "x.duckdb"], {}, "no columns; export them to a .jsonl file\n"),
        (
            ["sync", "contacts", "--to", "x.duckdb", "--where", "{}"],
            {},
            "which --where requires; sync them without",
        ),
        (
            ["sync", "invoices", "--to", "x.duckdb", "--overlap", "-1"],
            {},
            "--overlap must be a number of seconds",
        ),
        (
            ["list", "invoices", "--start-date", "May"],
            {},
            "--start-date must be a date or time in ISO 8601, not",
        ),
        (["search", "invoices", "--where", "[]"], {}, 'got list; for example {"id": {"_eq": 1}}'),
        (["search", "invoices", "--where", '{"id": {"_eq": null}}'], {}, "cannot compare with null; use"),
        (
            ["export", "offices", "--to", "x.jsonl", "--columns", "id"],
            {},
            "--columns: rows without a type have no",
        ),
        (["count", "invoices"], {"AIWYN_TOKEN": "t"}, "both api_key and token are set; remove one of them"),
        (
            ["count", "invoices", "--sandbox-invoices", "7"],
            {},
            "--sandbox-invoices is for a sandbox; pass --sandbox",
        ),
        (["doctor", "--seed", "7"], {}, "--seed is for a sandbox; pass --sandbox too, or remove it"),
        (["sandbox", "--api-key", ""], {}, "--api-key must be printable ASCII"),
        (["sandbox", "--rate-limit", "0"], {}, "--rate-limit must be above 0"),
        (["sandbox", "--seed", "9" * 30], {}, "--seed must fit in 64 bits"),
        (["sandbox", "--invoices", "9" * 20], {}, "cannot create the sandbox: "),
        (["sandbox", "--path", "/nowhere/x"], {}, "the sandbox file /nowhere/x cannot be written"),
        (
            ["doctor"],
            {"AIWYN_RETRIES": "abc"},
            "error: AIWYN_RETRIES: retries: expected a whole number, got str",
        ),
    ],
)
async def test_errors_name_what_the_command_line_has(
    arguments: list[str], env: dict[str, str], text: str, cli: Cli, box: Sandbox
) -> None:
    done = await cli.run(*arguments, **env)
    assert (done.code, text in done.err) == (2, True), done.err
    assert len(done.err.splitlines()[-1:]) == 1
    assert "bug" not in done.err
    assert box.calls() == 0
