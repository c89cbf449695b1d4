"""Compare the speed of the SDK with hand-written and generated clients: `python -m benchmarks`."""
