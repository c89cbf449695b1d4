"""Fail if a public name has an unknown type: ``python -m tools.public_types``.

``pyright --verifytypes`` fails for ambiguous types too, which depend on inference and are known to pyright.
"""

import json
import subprocess
import sys


def main() -> int:
    """Run pyright, print its counts, and return the exit code."""
    command = ["pyright", "--verifytypes", "aiwyn_async", "--ignoreexternal", "--outputjson"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (fixed arguments)
    if not result.stdout.startswith("{"):
        print(result.stdout, result.stderr, file=sys.stderr)
        return 1
    report = json.loads(result.stdout)["typeCompleteness"]
    counts = report["exportedSymbolCounts"]
    known, ambiguous, unknown = (counts[f"with{kind}Type"] for kind in ("Known", "Ambiguous", "Unknown"))
    if unknown:
        for symbol in report["symbols"]:
            if symbol["isExported"] and not symbol["isTypeKnown"]:
                print(symbol["name"], *(each["message"] for each in symbol["diagnostics"]), sep="\n    ")
    print(f"{known} public names of known type, {ambiguous} ambiguous, {unknown} unknown")
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main())
