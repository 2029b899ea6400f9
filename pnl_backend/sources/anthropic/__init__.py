"""Anthropic's spend: the cost report, and an estimate for the running day."""
