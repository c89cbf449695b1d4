"""Bulk reads that lose nothing: by ranges of keys, or by passes until two agree."""
