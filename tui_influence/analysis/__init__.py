"""Questions to a results directory, and their results."""
