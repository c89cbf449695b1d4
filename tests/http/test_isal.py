"""``inflate_with_isal``, with and without the extra."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import pytest

from aiwyn_async import AiwynClient, ConfigurationError
from aiwyn_async.sandbox import Sandbox
from aiwyn_async.tuning import inflate_with_isal
from fault_server import READ, FaultServer, http_response, send
from inflating import isal


async def test_isal_pages_have_every_row() -> None:
    body = b'{"deid_invoice":[' + b",".join(b'{"id":%d}' % key for key in range(1000)) + b"]}"
    zipped = send(http_response(body=gzip.compress(body), headers={"Content-Encoding": "gzip"}))
    with isal():
        async with (
            FaultServer([READ, zipped]) as server,
            AiwynClient(base_url=server.url, token="t", backoff_base=0) as aiwyn,
        ):
            rows = await aiwyn.invoices.list(limit=1000).collect()
    assert [row.id for row in rows] == list(range(1000))


async def test_isal_without_its_extra_names_the_install_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "isal", None)
    with pytest.raises(ConfigurationError, match=r'pip install "aiwyn-async\[speed\]"'):
        inflate_with_isal()
    async with Sandbox(invoices=3) as box, AiwynClient(base_url=box.url, api_key=box.api_key) as aiwyn:
        assert len(await aiwyn.invoices.list().collect()) == 3


def test_isal_that_is_installed_but_broken_names_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    reason = "libisal.so.2: cannot open shared object file"
    (tmp_path / "isal.py").write_text(f"raise ImportError({reason!r})")
    monkeypatch.delitem(sys.modules, "isal", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigurationError, match=reason) as raised:
        inflate_with_isal()
    assert isinstance(raised.value.__cause__, ImportError)
