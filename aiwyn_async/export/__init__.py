"""Export rows to files and datasets that are complete or do not exist."""

from aiwyn_async.export._dataset.manifest import DatasetFile, DatasetManifest
from aiwyn_async.export._dataset.state import read_manifest
from aiwyn_async.export._export import export
from aiwyn_async.export._job import ExportResult
from aiwyn_async.export._source import Readable

__all__ = ["DatasetFile", "DatasetManifest", "ExportResult", "Readable", "export", "read_manifest"]
