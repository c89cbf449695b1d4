"""What the API serves: each resource's fields, paths and rows."""
