"""Frameworks that come by the v1 scheduler API of the master (Mesos 1.11), without any HTTP."""
