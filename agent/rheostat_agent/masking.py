"""Secrets in command lines: hidden before anything is kept. What looks like a secret by its name or place is replaced."""

_NAMES = (
    "password", "passwd", "passphrase", "secret", "token", "apikey", "api_key", "api-key", "credential",
    "private_key", "private-key", "access_key", "access-key", "authorization",
)  # fmt: skip
HIDDEN = "***"


def masked(arguments: "list[str]") -> "list[str]":
    """Return *arguments* with the values of options, variables and URLs hidden that are secret by their names."""
    result = []
    is_secret = False
    for argument in arguments:
        if is_secret and not argument.startswith("-"):
            result.append(HIDDEN)
            is_secret = False
            continue
        name, equals, _ = argument.partition("=")
        is_secret = False
        if equals and _sounds_secret(name):
            result.append(f"{name}={HIDDEN}")
            continue
        if argument.startswith("-") and not equals:
            is_secret = _sounds_secret(argument)
        result.append(_without_userinfo(argument))
    return result


def _sounds_secret(name: str) -> bool:
    name = name.lower()
    return any(word in name for word in _NAMES)


def _without_userinfo(text: str) -> str:
    """Return *text* with what stands before the @ of a URL's host hidden."""
    before, scheme, rest = text.partition("://")
    if not scheme:
        return text
    authority = rest.split("/", 1)[0].split("?", 1)[0]
    userinfo, at, _ = authority.rpartition("@")
    return f"{before}://{HIDDEN}{at}{rest[len(userinfo) + 1 :]}" if at else text
