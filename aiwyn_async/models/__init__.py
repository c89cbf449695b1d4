"""Rows and objects of the API as msgspec Structs, a file a tag."""
