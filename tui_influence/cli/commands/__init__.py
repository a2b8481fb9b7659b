"""One module for each command of `tinfl`."""
