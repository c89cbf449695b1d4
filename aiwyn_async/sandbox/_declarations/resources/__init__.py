"""The declarations of the resources: what each serves, and the generation of its rows."""
