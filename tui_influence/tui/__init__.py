"""The terminal app, `tinfl explore`: six modes on one run, for while a sweep runs and after it.

It asks the core and shows; it owns no method of its own, and everything it does has a command-line equivalent.
Files are read in threads that post messages and never touch a widget; handlers own the state.
"""
