"""Four tiers behind one protocol: memory, Redis, SQLite, fallback."""
