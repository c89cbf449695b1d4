"""One class per resource of the API; ``collection`` implements the reads."""
