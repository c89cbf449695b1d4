"""Write the OpenAPI description of the sandbox, or check that the file is current.

``python -m tools.openapi`` writes the file; ``python -m tools.openapi --check`` fails if it is not current.
"""

import argparse

from aiwyn_async.sandbox._http.write_routes import DESCRIPTION_FILE
from tools.openapi.description import encode_description


def main() -> int:
    """Write or check the file, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.openapi")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the file is not current")
    description = encode_description()
    if not parser.parse_args().check:
        DESCRIPTION_FILE.write_bytes(description)
    elif DESCRIPTION_FILE.read_bytes() != description:
        parser.exit(1, f"{DESCRIPTION_FILE} is not current; run python -m tools.openapi\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
