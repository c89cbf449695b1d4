"""The declarations of the resources, and the generation of their rows."""
