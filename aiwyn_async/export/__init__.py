"""Rows into files: complete, or not there at all."""

from aiwyn_async.export._export import ExportResult, export
from aiwyn_async.export._source import Readable

__all__ = ["ExportResult", "Readable", "export"]
