"""Percent-encoding, and the lists of headers and attributes that use it (W3C Baggage, without properties).

Header values are secrets: no message here quotes one.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_HEX = frozenset("0123456789abcdefABCDEF")
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_NOT_IN_VALUES = frozenset('",;\\')
_AS_THEY_ARE = _TOKEN - {"%"} | frozenset("/:=@()[]{}<>?")


def decoded(text: str, is_strict: bool = False) -> str:
    """Return *text* with its percent escapes decoded. Raises ValueError if what they encode is not UTF-8.

    What only looks like an escape stays as it is, or raises ValueError too if *is_strict*.
    """
    first, *parts = text.split("%")
    data = bytearray(first.encode("utf-8", "surrogateescape"))
    for part in parts:
        if len(part) >= 2 and part[0] in _HEX and part[1] in _HEX:
            data.append(int(part[:2], 16))
            part = part[2:]
        elif is_strict:
            raise ValueError("an escape is broken")
        else:
            data += b"%"
        data += part.encode("utf-8", "surrogateescape")
    return data.decode("utf-8")


def encoded(text: str) -> str:
    """Return *text* as `decoded` reads it, fit for a value in a list."""
    return "".join(
        character
        if character in _AS_THEY_ARE
        else "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogateescape"))
        for character in text
    )


def is_header_name(text: str) -> bool:
    """Say whether *text* is the name of a header (RFC 9110, token)."""
    return bool(text) and _TOKEN.issuperset(text)


def is_header_value(text: str) -> bool:
    """Say whether *text* can be sent as the value of a header: in one line, and nothing but text."""
    return all(character.isprintable() or character == "\t" for character in text)


def read_headers(text: str, warn: Callable[[str], None]) -> tuple[tuple[str, str], ...]:
    """Return the headers in *text*, names in lower case; of two of the same name the last counts.

    Spaces within a value are taken as they are, as most SDKs do. *warn* gets a line for each that is left out.
    """
    found: dict[str, str] = {}
    for number, item in enumerate(text.split(","), 1):
        if not item.strip():
            continue
        name, equals, value = (part.strip() for part in item.partition("="))
        if not equals or not is_header_name(name):
            warn(f"has no name=value as its part {number}: that part is not used")
            continue
        try:
            plain = decoded(value)
        except ValueError:
            plain = "\0"
        if _NOT_IN_VALUES.intersection(value) or not is_header_value(plain):
            warn(f"has a value for {name} that is not percent-encoded: that header is not used")
            continue
        found[name.lower()] = plain
    return tuple(found.items())


def format_headers(headers: Iterable[tuple[str, str]]) -> str:
    """Return *headers* as `read_headers` reads them."""
    return ",".join(f"{name}={encoded(value)}" for name, value in headers)


def read_attributes(text: str) -> dict[str, str]:
    """Return the resource attributes in *text* (resource/sdk.md). Raises ValueError if any part of it is malformed."""
    found: dict[str, str] = {}
    for item in text.split(","):
        if not item.strip():
            continue
        key, equals, value = (part.strip() for part in item.partition("="))
        if not equals or not key:
            raise ValueError("a part is not key=value")
        found[decoded(key, is_strict=True)] = decoded(value, is_strict=True)
    return found
