"""Run programs against a sandbox of the API, one after another.

    python examples/in_sandbox.py examples/nightly_export.py examples/nightly_export.py

After each program, an invoice is inserted, another one is updated, and a third one is deleted.
"""

import os
import subprocess
import sys

from aiwyn_async.sandbox import Sandbox


def main(programs: list[str]) -> int:
    code = 0
    with Sandbox(invoices=5000, seed=7) as box:
        variables = {"AIWYN_BASE_URL": box.url, "AIWYN_API_KEY": box.api_key}
        for program in programs:
            print(f"$ python {program}", flush=True)
            done = subprocess.run([sys.executable, program], env=os.environ | variables, check=False)
            code = code or done.returncode
            updated, deleted = (int(str(key)) for (key,) in box.query("SELECT id FROM invoices LIMIT 2"))
            box.insert("invoices")
            box.update("invoices", updated, {"status": "CANCELLED"})
            box.delete("invoices", deleted)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
