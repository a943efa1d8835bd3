"""Job updates: services moved to another configuration, a few instances at a time (Aurora 0.22)."""
