"""Results for programs and notebooks: a run, and the answers of the functions that the command line calls."""
