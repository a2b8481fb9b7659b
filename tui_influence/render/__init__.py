"""Results as text for a terminal: what the command line and the app both show."""
