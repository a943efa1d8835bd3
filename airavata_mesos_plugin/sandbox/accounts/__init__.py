"""Files of other accounts, for a daemon of root: through processes that work as those accounts."""
