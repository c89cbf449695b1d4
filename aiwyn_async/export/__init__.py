"""Export rows to files that are complete or do not exist."""

from aiwyn_async.export._export import export
from aiwyn_async.export._job import ExportResult
from aiwyn_async.export._source import Readable

__all__ = ["ExportResult", "Readable", "export"]
