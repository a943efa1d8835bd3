"""What each call of the API does, in groups."""
