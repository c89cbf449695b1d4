"""How fast the SDK is beside hand-written and generated clients: `python -m benchmarks`."""
