"""The daemon: command socket, monitor loop, HTTP."""
