"""The command line: one module a command with `add` (its arguments) and `run` (its exit code), and `cli` over them.

What a command needs to run is imported in its `run` where that takes long: `--help` must not wait for it.
"""
