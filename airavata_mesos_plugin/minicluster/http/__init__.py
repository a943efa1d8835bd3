"""HTTP in front of the scheduler, the master and the agents."""
