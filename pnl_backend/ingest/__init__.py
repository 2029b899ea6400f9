"""What surrounds a fetch: single flight, deadline, breaker, the last good reading, the log of outages."""
