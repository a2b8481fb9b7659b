"""Pieces of screens. They draw what they are given, and read no files."""
