"""The routes by topic; each class answers from the ports and lists its routes as data."""
