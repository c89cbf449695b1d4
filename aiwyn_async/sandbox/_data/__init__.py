"""The data behind the API: a seeded database, conditions and changes."""
