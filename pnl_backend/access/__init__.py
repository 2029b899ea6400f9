"""Who may connect and ask: keys, client addresses behind proxies, limits; one implementation for REST and sockets."""
