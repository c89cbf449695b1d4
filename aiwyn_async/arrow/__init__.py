"""Convert rows to Arrow tables and streams.

Importing this package does not import pyarrow.
"""

from aiwyn_async.arrow._stream import ArrowStream

__all__ = ["ArrowStream"]
