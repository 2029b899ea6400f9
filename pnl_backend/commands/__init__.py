"""The command line: one module a command, and `cli` that reads the arguments."""
