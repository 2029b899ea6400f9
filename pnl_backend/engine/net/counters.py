"""What the engine counts."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """What the engine counts since its start."""

    messages_sent: int = 0
    messages_received: int = 0
    dropped: int = 0
    slow_disconnects: int = 0
    refused: int = 0
    protocol_errors: int = 0
    handler_errors: int = 0
    ping_timeouts: int = 0
    unknown_events: int = 0
    head_timeouts: int = 0
    shed: int = 0
    """Connections without a complete request that were closed to make room."""
