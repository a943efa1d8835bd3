"""Apache Aurora as a scheduler."""
