"""Rows into files: complete, or not there at all."""

from aiwyn_async.export.export import ExportProgress, ExportResult, export

__all__ = ["ExportProgress", "ExportResult", "export"]
