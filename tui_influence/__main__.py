"""`python -m tui_influence` is `tinfl`."""

from tui_influence.cli import main

main()
