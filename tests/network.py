"""A bad network: a relay between a client and a server on this machine, which is slow, breaks, or swallows.

    with Relay(port_of_the_server, up_limit=1000) as relay:      # the client connects to relay.port
        ...

With *port* None it is a proxy for HTTP: it goes where CONNECT, or the URL of the request, says.
"""

import contextlib
import socket
import struct
import threading
import urllib.parse
from types import TracebackType
from typing import Self

_CHUNK = 2048  # bytes
_LINGER_NOT = struct.pack("ii", 1, 0)  # closing resets the connection


class Relay:
    """The relay, from `with` to its end."""

    def __init__(
        self,
        port: int | None,
        rate: float = 0.0,
        reset_after_up: int | None = None,
        reset_after_down: int | None = None,
        is_black_hole: bool = False,
    ) -> None:
        """*rate*: bytes a second each way, 0: no limit. *reset_after_…*: bytes from the client, from the server."""
        self.asked: list[str] = []  # the first line and the headers of what came to a proxy
        self.connections = self.up = self.down = 0
        self._target, self._rate = port, rate
        self._resets = {True: reset_after_up, False: reset_after_down}
        self._is_black_hole = is_black_hole
        self._stopping = threading.Event()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._end(self._listener, *self._sockets)
        for one in (self._listener, *self._sockets):
            one.close()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # the test is over
            self.connections += 1
            self._sockets.append(client)
            if not self._is_black_hole:
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            server = self._connect(client)
        except OSError:
            self._end(client)
            return
        self._sockets.append(server)
        threading.Thread(target=self._pump, args=(server, client, False), daemon=True).start()
        self._pump(client, server, True)

    def _connect(self, client: socket.socket) -> socket.socket:
        """Return the connection onward."""
        if self._target is not None:
            return socket.create_connection(("127.0.0.1", self._target))
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(1)
        self.asked.append(head.decode("latin-1"))
        method, address, _ = self.asked[-1].split(" ", 2)
        is_tunnel = method == "CONNECT"
        parts = urllib.parse.urlsplit(f"//{address}" if is_tunnel else address)
        server = socket.create_connection((parts.hostname or "", parts.port or 80))
        if is_tunnel:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            server.sendall(head)
        return server

    def _pump(self, source: socket.socket, target: socket.socket, is_up: bool) -> None:
        passed, most = 0, self._resets[is_up]
        with contextlib.suppress(OSError):  # one of them has gone
            while data := source.recv(_CHUNK):
                passed += len(data)
                self.up, self.down = (
                    self.up + len(data) * is_up,
                    self.down + len(data) * (not is_up),
                )
                if most is not None and passed >= most:
                    self._reset(source, target)
                    return
                if self._rate and self._stopping.wait(len(data) / self._rate):
                    return
                target.sendall(data)
        self._end(source, target)

    def _reset(self, *sockets: socket.socket) -> None:
        for one in sockets:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        for one in sockets:
            # The other thread waits in recv, which holds the connection open: shutting down wakes it. With nothing to
            # linger for, closing is then a reset.
            one.shutdown(socket.SHUT_RD)
            one.close()

    def _end(self, *sockets: socket.socket) -> None:
        for one in sockets:
            with contextlib.suppress(OSError):  # it has ended already
                one.shutdown(socket.SHUT_RDWR)
