"""The routes by topic; each class has the handlers and lists its routes as data."""
