"""The config file: its schema, and the loader that explains what is wrong with one."""
