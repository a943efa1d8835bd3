"""The files API of Mesos agents: a sandbox as its agent shows it."""
