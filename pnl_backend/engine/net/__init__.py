"""Sockets, frames, HTTP heads, deadlines and caps: what every kind of connection shares."""
