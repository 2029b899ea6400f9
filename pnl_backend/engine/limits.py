"""Limits of the engine that are not settings; those that are stand in `config.py`. Seconds and bytes."""

# Closing.
CLOSE_TIMEOUT = 2.0
"""For the peer to answer our close frame, or to read a refusal and end its half of the connection."""
DRAIN_TIMEOUT = 1.0
"""For a peer that did not answer to end its half of the connection after ours."""
DEPARTURE_TIMEOUT = 5.0
"""For a polling client that we disconnected to fetch what waits for it."""
RETRY_AFTER = 10
"""`Retry-After` of refusals whose cause passes."""

# Reading and writing.
READ_SIZE = 64 * 1024
HEAD_READ_SIZE = 16 * 1024
AT_ONCE = 4
"""Messages of one read that are handled in the same turn of the loop where they can be; more of them are tasks."""
FLUSH_SIZE = 64 * 1024
"""How much of what waits is joined into one write."""
UNSENT_LIMIT = 16 * 1024
"""What the kernel may hold unsent: behind a full socket waits the newest snapshot, not a row of old ones."""
ANSWER_PROGRESS = 4096
"""What a client takes of an answer within `slow_client_timeout` at least; one that takes less is closed."""
CHUNK = 256
"""Clients that a broadcast serves before the loop gets its turn: about two milliseconds."""

# Accepting.
EXCESS_TIMEOUT = 3.0
"""For an address's caps on connections without a request head, and on sessions without a CONNECT, after a burst."""
BACKLOG = 4096
"""Connections that the kernel holds until they are accepted."""
ACCEPTS_PER_TURN = 64
"""Connections accepted before the loop gets its turn."""
ACCEPT_PAUSE = 1.0
"""Without an accept when no descriptor is left and nobody can make room."""
PORTS_TRIED = 10
"""Free ports tried until one is free on every address."""
RESERVED_DESCRIPTORS = 64
"""Kept free of clients for the ledger, the cache, upstreams and logs; a quarter of the limit where that is less."""

# Packets.
MAX_PAYLOAD_PACKETS = 16
"""Packets in one answer to a poll: python-engineio's client refuses more."""
MAX_ID_DIGITS = 15
"""Ack ids are JavaScript numbers: fifteen digits are always exact."""
MAX_NAMESPACE = 256
"""Characters of a namespace's name."""
VARIANTS = 9
"""Encodings of one broadcast at most: plain, and with up to eight different offsets."""
COMMENT_INTERVAL = 15.0
"""Between two comments on an event stream."""
