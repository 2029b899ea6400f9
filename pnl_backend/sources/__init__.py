"""One folder an upstream: HTTP in, a validated reading value out."""
