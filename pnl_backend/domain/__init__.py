"""What the numbers mean: pure functions and values, no I/O, no clock, no settings."""
