"""``Aiwyn`` and its reads, for code without asyncio."""

from aiwyn_async.blocking._client import Aiwyn
from aiwyn_async.blocking._reads import BlockingChanges, BlockingIteration, BlockingRead
from aiwyn_async.blocking._resources import (
    BlockingCollection,
    BlockingEventSubscriptions,
    BlockingRecords,
    BlockingRecordTypes,
    BlockingSearchableCollection,
    BlockingUntypedCollection,
    UntypedList,
    WriteResult,
)

__all__ = [
    "Aiwyn",
    "BlockingChanges",
    "BlockingCollection",
    "BlockingEventSubscriptions",
    "BlockingIteration",
    "BlockingRead",
    "BlockingRecordTypes",
    "BlockingRecords",
    "BlockingSearchableCollection",
    "BlockingUntypedCollection",
    "UntypedList",
    "WriteResult",
]
