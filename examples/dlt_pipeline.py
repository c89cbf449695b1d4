"""Load invoices and payments into DuckDB with dlt.

Against a sandbox, twice, so that the second run loads only the invoices that changed:

    python examples/in_sandbox.py examples/dlt_pipeline.py examples/dlt_pipeline.py

Against a tenant, with `pip install "aiwyn-async[dlt]" "dlt[duckdb]"`:

    AIWYN_BASE_URL=https://... AIWYN_API_KEY=... DATABASE=/data/firm.duckdb python dlt_pipeline.py

Invoices have a last-modified field: changes are merged by key. Payments do not: the table is replaced. A read
that is not proven complete fails before anything is loaded, and the next run reads the same again.
"""

import os
from pathlib import Path

import dlt

from aiwyn_async.dlt import aiwyn_source

RESOURCES = ["invoices", "payments"]


def main() -> None:
    path = Path(os.environ.get("DATABASE", "firm.duckdb"))
    pipeline = dlt.pipeline(
        "aiwyn",
        destination=dlt.destinations.duckdb(str(path)),
        dataset_name="books",  # DuckDB refuses that of the file
        pipelines_dir=f"{path}.pipelines",  # beside the data that its state describes
    )
    # An error of aiwyn_async is the cause of the PipelineStepFailed that dlt raises.
    pipeline.run(aiwyn_source(RESOURCES)).raise_on_failed_jobs()
    trace = pipeline.last_trace
    assert trace is not None
    assert trace.last_normalize_info is not None
    for name in RESOURCES:
        print(f"{name}: {trace.last_normalize_info.row_counts.get(name, 0)} rows loaded")

    with pipeline.sql_client() as client:
        rows = client.execute_sql("SELECT currency, count(*), sum(total_amount) FROM invoices GROUP BY ALL")
    for currency, count, total in rows or []:
        print(f"{count} invoices: {total:,.2f} {currency}")  # a Decimal, exact


if __name__ == "__main__":
    main()
