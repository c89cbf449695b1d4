"""Other ways to the same rows: each module runs in an environment of its own, which `environments` makes.

They do what the documentation of their library shows for an API of this kind, in the fastest way that it has.
"""
