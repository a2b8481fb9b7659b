"""What fills the terminal: a mode each, and what is asked on top of it."""
