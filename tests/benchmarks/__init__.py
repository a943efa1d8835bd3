"""Figures with a ratio against a named peer, measured in the same run; nothing here asserts a time."""
