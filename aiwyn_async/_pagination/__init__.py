"""Walking a list page by page, complete or saying what is missing."""
