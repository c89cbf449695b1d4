"""What is measured in the project's own environment: the SDK, and clients written by hand."""
