"""Addresses of backends: taken apart, extended as OTLP has it, and shown without what may be secret in them.

By hand, for urllib.parse takes the launcher longer to import than all of this.
"""

from __future__ import annotations

from rheostat_agent.configuration.escapes import decoded

_PORTS = {"http": 80, "https": 443}
_TARGETS = ("dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:", "xds:")  # gRPC's own forms


class Address:
    """A URL in its parts. *rest* is everything behind the authority; *user* is name:password, empty if there is none."""

    __slots__ = ("authority", "host", "port", "rest", "scheme", "user")

    def __init__(self, text: str) -> None:
        """Raises ValueError: the text says what *text*, which it does not quote, is not."""
        scheme, mark, behind = text.partition("://")
        self.scheme = scheme.lower()
        if not mark or self.scheme not in _PORTS:
            raise ValueError("is not a URL with http:// or https://")
        if not text.isprintable() or " " in text or "\\" in text:
            raise ValueError("is not a URL: it has characters that no URL has")
        end = min((at for at in map(behind.find, "/?#") if at >= 0), default=len(behind))
        user, _, self.authority = behind[:end].rpartition("@")
        self.user = _user(user)
        self.rest = behind[end:]
        self.host, self.port = _host_and_port(self.authority)

    def with_path(self, appended: str) -> str:
        """Return the URL without its user, *appended* to its path; with an empty text, only a missing path becomes /."""
        end = min((at for at in map(self.rest.find, "?#") if at >= 0), default=len(self.rest))
        path, behind = self.rest[:end], self.rest[end:]
        if appended or not path:
            path = (path if path.endswith("/") else path + "/") + appended
        return f"{self.scheme}://{self.authority}{path}{behind}"

    def target(self) -> str:
        """Return scheme://host:port."""
        port = self.port or _PORTS[self.scheme]
        return f"{self.scheme}://{self.host}:{port}"

    @property
    def is_local(self) -> bool:
        """Say whether this machine is meant."""
        host = self.host.lower()
        return (
            host in ("localhost", "[::1]") or host.startswith("127.") or host.endswith(".localhost")
        )

    def basic(self) -> str:
        """Return the value of an authorization header for the user (RFC 7617)."""
        from base64 import b64encode

        return "Basic " + b64encode(self.user.encode()).decode()


def _user(text: str) -> str:
    name, _, password = text.partition(":")
    try:
        return f"{decoded(name)}:{decoded(password)}" if text else ""
    except ValueError:
        raise ValueError("is not a URL: its user is not UTF-8") from None


def _host_and_port(authority: str) -> tuple[str, int]:
    if authority.startswith("["):
        inner, bracket, behind = authority.partition("]")
        host, mark, port = inner + bracket, behind[:1], behind[1:]
        is_sound = bool(bracket) and mark in ("", ":")
    else:
        host, mark, port = authority.partition(":")
        is_sound = ":" not in port
    if not host or not is_sound:
        raise ValueError("is not a URL with a host")
    if not port:
        return host, 0
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError("is not a URL: behind the colon is no port")
    return host, int(port)


def for_grpc(text: str, is_insecure: bool) -> Address | str:
    """Return the address of a gRPC server, or scheme://target for gRPC's own forms. Raises ValueError.

    Without a scheme, *is_insecure* decides whether the connection is encrypted (protocol/exporter.md).
    """
    scheme = "http" if is_insecure else "https"
    if text.lower().startswith(_TARGETS):
        return f"{scheme}://{text}"
    return Address(text if "://" in text else f"{scheme}://{text}")


def shown(text: str) -> str:
    """Return *text*, an address, without user, query and fragment."""
    try:
        address = for_grpc(text, is_insecure=False)
    except ValueError:
        return "(not a URL)"
    if isinstance(address, str) or "://" not in text:
        return text.partition("?")[0].rpartition("@")[2]
    path = address.rest.partition("?")[0].partition("#")[0]
    return f"{address.scheme}://{address.authority}{path}"
