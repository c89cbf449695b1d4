"""A class a tag of the API; what list, search and get do stands once, in ``collection``."""
