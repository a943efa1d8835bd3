"""The process that runs one task: a small Thermos.

It starts once per task, so it imports only small parts of the standard library and nothing of the rest of
the package.
"""
