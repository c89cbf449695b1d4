"""Slices of the project's own environment: the SDK, and hand-written clients."""
