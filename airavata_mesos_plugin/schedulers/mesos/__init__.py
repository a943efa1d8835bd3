"""What is read from Mesos directly: its master's view of agents and frameworks."""
