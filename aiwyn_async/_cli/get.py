"""``aiwyn get`` and ``aiwyn count``."""

from __future__ import annotations

import msgspec

from aiwyn_async._cli.client import open_client
from aiwyn_async._cli.errors import ExitCode
from aiwyn_async._cli.options import FilterOptions, SandboxOptions
from aiwyn_async._cli.output import write_data
from aiwyn_async._cli.resources import create_list, find_resource
from aiwyn_async._http.messages import encode_json


async def get(resource: str, key: str, /, *, sandbox: SandboxOptions = SandboxOptions()) -> int:
    """Print one object as JSON.

    Args:
        resource: invoice, client, payment, ...
        key: The id of the object.
        sandbox: A sandbox to use instead of the configured server.
    """
    plural = find_resource(resource)
    async with open_client(sandbox) as aiwyn:
        row = await getattr(aiwyn, plural).get(key)
    write_data(msgspec.json.format(encode_json(row), indent=2))
    return ExitCode.OK


async def count(
    resource: str, /, *, filters: FilterOptions = FilterOptions(), sandbox: SandboxOptions = SandboxOptions()
) -> int:
    """Print the number of rows.

    Args:
        resource: invoices, clients, payments, ...
        filters: Which rows are counted.
        sandbox: A sandbox to use instead of the configured server.
    """
    plural = find_resource(resource)
    async with open_client(sandbox) as aiwyn:
        write_data(str(await create_list(aiwyn, plural, filters.given(), filters.where).count()).encode())
    return ExitCode.OK
