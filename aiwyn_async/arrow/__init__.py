"""Rows into Arrow tables, exactly, and pulls as Arrow streams. Only its modules need pyarrow."""
