"""Engine.IO v4: packets, sessions, and their transports."""
