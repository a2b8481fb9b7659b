"""The arguments and options of every command, with their help.

A command's options are a dataclass: typer makes the command line from its fields, and the command gets an instance.
They import nothing heavy, so that help and shell completion answer at once; a command's module is imported when the
command runs.
"""
