"""No settings of this machine, and a file of profiles."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiwyn_async.config import Config

PROFILES = """
[profiles.default]
base_url = "https://default.example.org"
token = "default-token"
retries = 1

[profiles.demo]
base_url = "https://demo.example.org"
api_key = "demo-key"
retries = 7

[profiles.demo.endpoints.clients]
items_key = "customers"
"""


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Config.__struct_fields__:
        monkeypatch.delenv(f"AIWYN_{name.upper()}", raising=False)
    monkeypatch.delenv("AIWYN_PROFILE", raising=False)
    monkeypatch.setenv("AIWYN_CONFIG", str(tmp_path / "config.toml"))


@pytest.fixture
def profiles(tmp_path: Path) -> Path:
    file = tmp_path / "config.toml"
    file.write_text(PROFILES)
    file.chmod(0o600)
    return file
