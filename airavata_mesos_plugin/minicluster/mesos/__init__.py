"""The Mesos side: agents that run executors, and the master's view of them, without any HTTP."""
