"""Secrets in command lines: hidden before anything is kept. What looks like a secret by its name or place is replaced."""

_NAMES = (
    "password", "passwd", "passphrase", "secret", "token", "apikey", "api_key", "api-key", "credential",
    "private_key", "private-key", "access_key", "access-key", "authorization",
)  # fmt: skip
HIDDEN = "***"
SEPARATOR = "\x1f"


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


def join_arguments(arguments: "list[str]") -> str:
    """Return *arguments* as the history keeps them: separated by U+001F."""
    return SEPARATOR.join(argument.replace(SEPARATOR, " ") for argument in arguments)


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
