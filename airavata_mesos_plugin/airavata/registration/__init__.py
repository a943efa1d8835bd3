"""Telling Airavata that this resource exists: what it is (`resource`), and the calls that register it."""
