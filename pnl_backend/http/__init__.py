"""REST: routes, keys, limits, headers, errors."""
