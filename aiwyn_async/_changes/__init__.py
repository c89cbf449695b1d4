"""Incremental reads of changes since a bookmark, and reconciliation of keys."""
