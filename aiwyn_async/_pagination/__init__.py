"""Paginated reads: list, search, and what they share with pulls."""
