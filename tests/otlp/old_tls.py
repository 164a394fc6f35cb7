"""A server that speaks no TLS but an old one."""

import contextlib
import socket
import ssl
import threading
import warnings
from pathlib import Path
from types import TracebackType
from typing import Self


class OldServer:
    """Makes handshakes, of *version* at most, until it is left."""

    def __init__(self, pair: tuple[Path, Path], version: ssl.TLSVersion) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*pair)
        self._context.set_ciphers("DEFAULT:@SECLEVEL=0")  # else OpenSSL itself speaks nothing old
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            self._context.minimum_version = ssl.TLSVersion.TLSv1
            self._context.maximum_version = version
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # the test is over
            with connection, contextlib.suppress(OSError):  # a client that refuses is the point
                self._context.wrap_socket(connection, server_side=True).close()
