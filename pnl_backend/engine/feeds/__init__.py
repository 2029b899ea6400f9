"""Plain WebSocket and server-sent-event feeds."""
