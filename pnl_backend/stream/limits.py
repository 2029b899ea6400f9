"""Limits of the feeds. Seconds, unless a unit is named."""

# What a client may send.
BURST = 50.0
"""Messages of one socket at once; beyond it `PER_SECOND` a second."""
PER_SECOND = 10.0
MAX_VIOLATIONS = 50
"""Messages beyond the rate, without a pause, after which a plain WebSocket is closed."""
BAD_MESSAGES = 3
"""Messages that mean nothing, after which a plain WebSocket is closed."""
LONGEST_NAME = 64
"""Characters of an unknown event's name that an answer repeats."""

# Keys.
KEY_TIMEOUT = 5.0
"""For the first message of a plain WebSocket whose request brought no key."""
MAX_KEYLESS = 1000
"""Plain WebSockets that have not sent their key yet."""

# What a client is sent.
RING = 1000
"""Publications held in memory for replays."""
PAGE = 16
"""Publications that a replay reads at once: encoding them takes about as long as a broadcast's turn of the loop."""
KEY_FRAME = 60.0
"""Between two snapshots of the ledger feed for all clients."""
KEY_FRAME_SLACK = 0.5
"""An update this much before a key frame is due is sent as the key frame: a tick may be slightly early."""
RETRY_MS = 3000
"""How long a browser waits before it opens an event stream again."""
