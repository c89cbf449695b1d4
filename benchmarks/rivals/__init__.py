"""Other clients: each module runs in its own environment, which `environments` creates.

Each reads the rows as the documentation of its library shows, in the fastest documented way.
"""
