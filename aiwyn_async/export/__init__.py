"""Rows into files: complete, or not there at all."""

from aiwyn_async.export.export import ExportResult, export

__all__ = ["ExportResult", "export"]
