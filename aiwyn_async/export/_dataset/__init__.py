"""A dataset: a folder of Parquet files, and a manifest that names those of the last complete run."""
