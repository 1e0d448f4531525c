"""Connections over TLS, and the certificate for them. Loaded only if they are wanted."""

from __future__ import annotations

import contextlib
import socket
import ssl

from ..web.api import Api
from .connection import Connection, Shared


def load_certificate(certificate: str, key: str | None = None) -> ssl.SSLContext:
    """Return the context for a server with a certificate, whose key may be in the same file.

    Raises ``OSError`` if they cannot be used.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:
        raise OSError(f"cannot use the certificate {certificate}: {error}") from error
    return context


class TlsConnection(Connection):
    """A client that speaks TLS. The handshake is a part of its first read."""

    _again = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
    _is_secure = True

    def __init__(self, shared: Shared, api: Api, client: socket.socket, refuse: bool,
                 context: ssl.SSLContext) -> None:
        """Wrap a socket that was accepted; raise ``OSError`` if the client has gone."""
        self._tls = context.wrap_socket(client, server_side=True,
                                        do_handshake_on_connect=False)
        super().__init__(shared, api, self._tls, refuse)

    def _read(self) -> bool:
        came = super()._read()
        # Bytes that TLS has decrypted and kept: the selector does not see them.
        while came and self._tls.pending():
            came = super()._read()
        return came

    def _end_output(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # no handshake, or the client has gone
            self._tls.unwrap()
        super()._end_output()
