"""Bytes in and out of Mesos sandboxes."""
