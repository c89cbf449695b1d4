"""One class per resource of the API; ``collection`` implements list, search, get and pull."""
