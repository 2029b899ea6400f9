"""The Kalshi trading account."""
