"""``base_url``: accepted and refused forms."""

from __future__ import annotations

import pytest

from aiwyn_async.errors import ConfigurationError
from secrecy import CANARY
from settings import load


@pytest.mark.parametrize(
    ("url", "normalized"),
    [
        ("https://demo.api.aiwyn.ai", "https://demo.api.aiwyn.ai"),
        ("https://demo.api.aiwyn.ai/", "https://demo.api.aiwyn.ai"),
        ("  https://demo.api.aiwyn.ai/root/ ", "https://demo.api.aiwyn.ai/root"),
        ("HTTPS://Demo.API.aiwyn.ai:8443", "HTTPS://Demo.API.aiwyn.ai:8443"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("https://my_host.internal.", "https://my_host.internal."),
        ("https://[2001:db8::1]:444", "https://[2001:db8::1]:444"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://LOCALHOST", "http://LOCALHOST"),
        ("http://127.0.0.1:1", "http://127.0.0.1:1"),
        ("http://127.8.9.10", "http://127.8.9.10"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_base_url_is_normalized(url: str, normalized: str) -> None:
    assert load(base_url=url).base_url == normalized


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.example.org",
        "//api.example.org",
        "ftp://api.example.org",
        "https://",
        "https:///path",
        "https://user@api.example.org",
        f"https://user:{CANARY}@api.example.org",
        "https://@api.example.org",
        "https://api.example.org?",
        "https://api.example.org/?a=b",
        "https://api.example.org/#a",
        "https://api.example.org/#",
        "https://api.example.org:99999",
        "https://api.example.org:port",
        "https://api.example.org:0",
        "https://api.example.org/a//b",
        "https://api.example.org/a/../b",
        "https://api.example.org/a/%2e%2e/",
        "https://api.example.org/.",
        "https://[::1",
        "https://[fe80::1%25eth0]",
        "https://a..b",
        "https://.a",
        f"https://{'a' * 64}.org",
        "https://a b.org",
        "https://a\nb.org",
        "https://a\\b.org",
        "https://a%41.org",
        "https://b\u00fccher.example",
        "https://127\u30020\u30020\u30021",
        "https://\uff11\uff12\uff17.0.0.1",
        "http://api.example.org",
        "http://localhost.evil.com",
        "http://evil-localhost",
        "http://localhost.",
        "http://127.0.0.1.nip.io",
        "http://127.1",
        "http://0x7f000001",
        "http://2130706433",
        "http://0.0.0.0",
        "http://10.0.0.1",
        "http://[::]",
        "http://[::1%25lo]",
        "http://localhost@evil.com",
        "http://127.0.0.1\\@evil.com",
        "http://127\u30020\u30020\u30021",
    ],
)
def test_invalid_base_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="base_url") as caught:
        load(base_url=url)
    assert CANARY not in str(caught.value)


def test_plain_http_to_another_host_requires_an_option() -> None:
    assert load(base_url="http://10.0.0.1", allow_insecure_http=True).base_url == "http://10.0.0.1"
