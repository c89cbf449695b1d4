"""A module for each tag, or for a few that belong together: what it serves and how its rows are made."""
