"""Sandboxes through SFTP to the hosts of their agents."""
