"""What the code of the package may not contain: TLS without verification, and data that runs as code."""

from __future__ import annotations

import ast
import re
import ssl
from pathlib import Path

import pytest

import aiwyn_async

ROOT = Path(aiwyn_async.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
FORBIDDEN = re.compile(
    r"^\s*(?:import|from) (?:pickle|marshal|shelve|dill|yaml|subprocess)\b"
    r"|(?<![\w.])(?:eval|exec)\(|\bos\.(?:system|popen)\(|\bmktemp\("
    r"|\bCERT_(?:NONE|OPTIONAL)\b|\bTLSv1(?:_1)?\b|\bPROTOCOL_(?:TLSv1|SSLv)|_create_unverified_context"
    r"|\b(?:ssl|verify|verify_ssl|check_hostname)['\"]?(?: = |=|: )False\b",
    re.MULTILINE,
)


def forbidden(source: str) -> list[str]:
    return [match[0].strip() for match in FORBIDDEN.finditer(ast.unparse(ast.parse(source)))]


def test_package_neither_disables_tls_nor_runs_data() -> None:
    matches = {path.relative_to(ROOT): forbidden(path.read_text(encoding="utf-8")) for path in FILES}
    assert len(matches) > 100
    assert not {path: words for path, words in matches.items() if words}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from yaml import load",
        "if x:\n    import subprocess",
        "eval('1')",
        "os.system('x')",
        "connect(ssl=False)",
        "options = {'ssl': False}",
        "context.check_hostname = False",
        "context.verify_mode = ssl.CERT_NONE",
        "ssl._create_unverified_context()",
    ],
)
def test_gate_notices(source: str) -> None:
    assert forbidden(source)


def test_default_context_verifies_and_offers_tls_1_2_or_newer() -> None:
    context = ssl.create_default_context()  # which aiohttp uses if ssl is True
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
