"""Clients that subscribe and then do not read, or read everything: beside which healthy ones are measured.

python slowreaders.py PORT COUNT KEY stuck|reading
"""

import selectors
import socket
import sys

HEAD = (
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def text(payload: str) -> bytes:
    return bytes((0x81, 0x80 | len(payload))) + b"\0\0\0\0" + payload.encode()


def main(port: int, count: int, key: str, kind: str) -> None:
    sockets = []
    for _ in range(count):
        sock = socket.socket()
        if kind == "stuck":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", port))
        sock.sendall(HEAD.encode() + text(f'40{{"apiKey":"{key}"}}'))
        seen = b""
        while b'40{"sid"' not in seen:
            seen += sock.recv(4096)
        sock.sendall(text('42["subscribe_pnl"]'))
        sockets.append(sock)
    print("ready", flush=True)
    selector = selectors.DefaultSelector()
    for sock in sockets:
        sock.setblocking(False)
        if kind == "reading":
            selector.register(sock, selectors.EVENT_READ)
    while True:
        for key_, _ in selector.select(1.0):
            part = key_.fileobj.recv(65536)  # type: ignore[union-attr] # always a socket
            if not part:
                selector.unregister(key_.fileobj)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4])
