"""Secrets in command lines: hidden before anything is kept. What looks like a secret by its name or place is replaced.

    --password x   --token=y   API_KEY=z   'Authorization: Bearer t'        by the name before it
    postgres://user:password@host/db                                         by its place in a URL

The launcher comes through here: what most command lines need is done without regular expressions, whose module takes
longer to import than all of this.
"""

HIDDEN = "***"
SEPARATOR = "\x1f"
_WORDS = ("pass", "pwd", "secret", "token", "key", "credential", "authorization")
_SECRET = (
    r"(?:(?i:password|passwd|passphrase|secrets?|token|credentials?|authorization|(?:api|access|private)[-_]?key)"
    r"|(?<![a-zA-Z])(?i:pass|pwd))(?![a-z])"
)
_NAME = r"[\w.-]+"
_PAIR = rf"""({_SECRET}[\w.-]{{0,40}}["']?\s*(?:==?|:)\s*)("[^"]*"|'[^']*'|[^\s&;,"'}}]+)"""
_USER = r"://[^/?#\s]*@"


def masked(arguments: "list[str]") -> "list[str]":
    """Return *arguments* with the values of options, variables, headers and URLs hidden that are secret by their names."""
    result = []
    is_secret = False
    for argument in arguments:
        if is_secret and not argument.startswith("-"):
            result.append(HIDDEN)
            is_secret = False
            continue
        is_secret = False
        if _may_hold_secret(argument):
            is_secret = argument.startswith("-") and _is_secret_name(argument)
            argument = _hidden(argument)
        result.append(argument)
    return result


def _may_hold_secret(argument: str) -> bool:
    lower = argument.lower()
    return any(word in lower for word in _WORDS) or ("://" in lower and "@" in lower)


def _is_secret_name(text: str) -> bool:
    """Say whether *text* is one name, and names a secret."""
    import re

    return re.fullmatch(_NAME, text) is not None and re.search(_SECRET, text) is not None


def _hidden(argument: str) -> str:
    """Return *argument* without the secrets in it."""
    import re

    for sign in ("=", ":"):
        name, found, value = argument.partition(sign)
        if found and _is_secret_name(name):
            space = " " if value.startswith(" ") else ""
            return f"{name}{sign}{space}{HIDDEN}"
    argument = re.sub(_USER, f"://{HIDDEN}@", argument)
    return re.sub(_PAIR, rf"\1{HIDDEN}", argument)


def join_arguments(arguments: "list[str]") -> str:
    """Return *arguments* as the history keeps them: separated by U+001F."""
    return SEPARATOR.join(argument.replace(SEPARATOR, " ") for argument in arguments)
