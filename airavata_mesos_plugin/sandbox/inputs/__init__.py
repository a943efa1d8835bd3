"""What goes there: the working directory as it is at submission, as one archive."""
