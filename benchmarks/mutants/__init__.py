"""Do the tests of a package notice when its code is changed? See `__main__`."""
