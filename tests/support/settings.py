"""Load options for a fixed server."""

from __future__ import annotations

from typing import Any

from aiwyn_async.config import Config

URL = "https://api.example.org"


def load(**options: Any) -> Config:
    return Config.load(**{"base_url": URL, "token": "t", **options})
