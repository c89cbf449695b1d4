"""Complete bulk reads: by key ranges, or by full scans until two of them agree."""
