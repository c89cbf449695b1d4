"""Invoices into DuckDB with dlt: the source of this package beside dlt's own rest_api source.

`python -m benchmarks.dlt_source [invoices]` runs them in turn, three times, against a sandbox in another
process, and prints the seconds of a first run and the type of the amounts. Needs the extras ``dlt`` and
``duckdb``.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")

import dlt
import duckdb
from dlt.sources.helpers.rest_client.paginators import PageNumberPaginator
from dlt.sources.rest_api import rest_api_source

from aiwyn_async import AiwynClient
from aiwyn_async.dlt import aiwyn_source

ROUNDS = 3
KEY = "benchmark"


def ours(url: str, _: str) -> Any:
    return aiwyn_source(["invoices"], connect=lambda: AiwynClient(base_url=url, api_key=KEY))


def rest_api(url: str, token: str) -> Any:
    pages = PageNumberPaginator(base_page=0, page_body_path="page", total_path=None)
    return rest_api_source(
        {
            "client": {"base_url": url, "auth": {"type": "bearer", "token": token}, "paginator": pages},
            "resources": [
                {
                    "name": "invoices",
                    "primary_key": "id",
                    "write_disposition": "merge",
                    "endpoint": {
                        "path": "/gql/v1/invoices",
                        "method": "POST",
                        "json": {"pageSize": 1000},
                        "data_selector": "deid_invoice",
                    },
                }
            ],
        }
    )


def rest_api_without_child_tables(url: str, token: str) -> Any:
    source = rest_api(url, token)
    source.max_table_nesting = 0
    return source


SOURCES: dict[str, Callable[[str, str], Any]] = {
    each.__name__: each for each in (ours, rest_api, rest_api_without_child_tables)
}


def run(name: str, folder: Path, url: str, token: str) -> tuple[float, str]:
    """Return the seconds of a first run into an empty file, and what the file contains."""
    file = folder / f"{name}.duckdb"
    pipeline = dlt.pipeline(
        name,
        pipelines_dir=str(folder),
        destination=dlt.destinations.duckdb(str(file)),
        dataset_name="books",
    )
    started = time.perf_counter()
    pipeline.run(SOURCES[name](url, token))
    seconds = time.perf_counter() - started
    with duckdb.connect(str(file)) as database:
        query = "SELECT count(*), sum(total_amount), any_value(typeof(total_amount)) FROM books.invoices"
        count, total, kind = database.execute(query).fetchall()[0]
    return seconds, f"{count} rows, total {total} ({kind})"


def token_for(url: str) -> str:
    body = json.dumps({"jwtApiKey": KEY}).encode()
    request = urllib.request.Request(f"{url}/v1/auth/token", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as response:
        return str(json.load(response)["token"])


def main() -> None:
    invoices = sys.argv[1] if len(sys.argv) > 1 else "20000"
    command = (sys.executable, "-m", "aiwyn_async.sandbox", "--invoices", invoices, "--api-key", KEY)
    seconds: dict[str, list[float]] = {name: [] for name in SOURCES}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sandbox:
        try:
            assert sandbox.stdout is not None
            url = json.loads(sandbox.stdout.readline())["url"]
            for number in range(ROUNDS):
                for name in SOURCES:
                    with tempfile.TemporaryDirectory() as folder:
                        taken, content = run(name, Path(folder), url, token_for(url))
                    seconds[name].append(taken)
                    print(f"round {number + 1}  {name:30} {taken:6.2f} s  {content}", flush=True)
        finally:
            sandbox.terminate()
    fastest = statistics.median(seconds["ours"])
    for name, taken in seconds.items():
        print(
            f"median   {name:30} {statistics.median(taken):6.2f} s  {statistics.median(taken) / fastest:.1f}x"
        )


if __name__ == "__main__":
    main()
