"""The screens: one for each mode, the dialogs on top of them, and the list of runs."""
