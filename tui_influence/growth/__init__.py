"""Growth of a sweep: the rows that are planned from its own records while it runs."""
