"""From a committed snapshot to every client: the hub and its thin transports."""
