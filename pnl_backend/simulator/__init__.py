"""Plays the three upstreams over real HTTP on loopback, signatures checked, faults on demand."""
