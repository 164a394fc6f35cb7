"""Secrets in texts: hidden in the observed process, before anything of them reaches the spool. `***` stands in their place.

    by a name before them      password=x   --token x   "api_key": "x"   Authorization: Bearer x   <secret>x</secret>
    by their place in a URL    postgres://user:x@host/db   https://host/path?any=x   user:x@host
    by their own shape         shapes.py

File paths, UUIDs and plain words stay. What has neither name, place nor shape cannot be seen (docs/capture.md).

Without regular expressions: `re` takes milliseconds to import, which a program that does not use it would pay for and could
see. Texts are taken apart by `str.translate` and `split`, in C; most are let go by `hide` after some microseconds.
Used for command lines and threads' names (image.py), exceptions (errors.py), arguments (capture.py), by the launcher and by
the agent.
"""

from __future__ import annotations

from rheostat.shapes import HIDDEN, has_long_run, hide_shapes, split, table_of

TYPE_CHECKING = False  # importing typing takes longer than all of a bootstrap
if TYPE_CHECKING:
    from collections.abc import Iterable

NO_SECRET, WEAK, STRONG = range(3)


def _words_of(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Words of names. What the first name is hidden whatever it is; what the others name, unless it is a number or a path.
_STRONG = _words_of(
    "password passwd passphrase passcode pass pwd pw pin secret credential cred otp cvv ssn authorization cookie"
)
_WEAK = _words_of(
    "token key auth bearer jwt session sessionid sid signature sig salt nonce csrf xsrf"
)
_ENDS = (
    "password", "passwd", "passphrase", "secret", "apikey", "accesskey", "privatekey", "secretkey", "accountkey", "authkey",
)  # fmt: skip
# A key of one of these opens something; other keys may be those of a dictionary.
_OF_KEYS = _words_of(
    "api access private secret account auth encryption signing master shared storage client app"
)
# A name that ends so is about a secret, and names none.
_ABOUT = _words_of(
    "file path dir name url uri id type length len count size limit policy field column env version arn ttl expiry "
    "expires age index required strength words"
)
_NO_PLURALS = ("pass", "expires", "words", "address")
_SCHEMES = ("bearer", "basic", "digest", "token", "apikey")
_OPEN = ("", "none", "null", "nil", "true", "false", "yes", "no", HIDDEN)  # give nothing away
_HINTS = (
    "pass", "pwd", "secret", "token", "key", "cred", "auth", "cookie", "bearer", "basic ", "jwt", "session", "sig",
    "salt", "nonce", "csrf", "xsrf", "pin", "pw", "otp", "cvv", "ssn", "sid",
)  # fmt: skip

_NAMES = table_of(b"_-.")
_QUOTES = "\"'`"
_BRACKETS = {"[": "]", "(": ")", "{": "}"}
_BEHIND_VALUE = " \t\r\n&;,\"'`})]<>|\\"
_BEFORE_QUESTION = (" ", "\n", "\t", "(", "")  # no URL is asked by it
_BEHIND_URL = " \t\r\n\"'`<>"
_MAX_NAME = 80
_SLACK = 256  # a text is cut beyond what is kept of it, so that a secret at the cut is known as one
_FEW = 4  # different characters: no secret is made of so few
_MAX_KNOWN = 2000

_known: dict[str, int] = {}  # names, and what they make of their values


def hide(text: str) -> str:
    """Return *text* with what looks like a secret hidden."""
    if "@" in text:
        text = _hide_users(text)
    if "?" in text or "#" in text:
        text = _hide_queries(text)
    if _may_name(text.lower()):
        text = _hide_named(text)
    return hide_shapes(text) if has_long_run(text) or "-----BEGIN" in text else text


def _may_name(lower: str) -> bool:
    """Say whether a name of a secret may stand in a text, given in small letters."""
    for hint in _HINTS:
        if hint in lower:
            return True
    return False


def hide_cut(text: str, most: int) -> str:
    """Return the first *most* characters of *text*, secrets hidden; nothing of one that lies across the cut."""
    if len(text) <= most:
        return hide(text)
    window = text[: most + _SLACK]
    if len(text) > len(window):
        end = len(window)
        while end and (window[end - 1].isalnum() or window[end - 1] in "_-+/=."):
            end -= 1
        if len(set(window[end:])) > _FEW:
            window = window[:end]
    return hide(window)[:most]


def hide_arguments(arguments: Iterable[str], most: int = 1 << 20) -> list[str]:
    """Return a command line with the values of options, variables, headers and URLs hidden that are secret.

    Of each argument, *most* characters are kept.
    """
    result = []
    before = ""  # the option whose value may come next
    for argument in arguments:
        option, before = before, ""
        if option and not argument.startswith("-"):
            result.append(_hide_value_of(option, argument, most))
            continue
        if argument.startswith("-") and "=" not in argument:
            before = argument
        result.append(_hide_argument(argument, most))
    return result


def _hide_value_of(option: str, value: str, most: int) -> str:
    """Return *value*, the argument after *option*."""
    strength = secrecy(option)
    if strength == STRONG or (strength == WEAK and not is_plain(value)):
        return HIDDEN
    if option in ("-u", "-U", "--user", "--proxy-user") and ":" in value:
        return f"{value.partition(':')[0]}:{HIDDEN}"
    return _hide_argument(value, most)


def _hide_argument(argument: str, most: int) -> str:
    for sign in ("=", ":"):
        name, found, value = argument.partition(sign)
        if found and len(name) <= _MAX_NAME and len(split(name, _NAMES)) == 1:
            strength = secrecy(name)
            if strength == STRONG or (strength == WEAK and not is_plain(value)):
                return f"{name}{sign}{' ' if value.startswith(' ') else ''}{HIDDEN}"
    return hide_cut(argument, most)


def secrecy(name: str) -> int:
    """Return what the name of a value makes of it: NO_SECRET, WEAK (numbers and paths are none) or STRONG."""
    found = _known.get(name)
    if found is None:
        found = _secrecy(name)
        if len(_known) < _MAX_KNOWN:
            _known[name] = found
    return found


def _secrecy(name: str) -> int:
    words = _words(name)
    if not words or words[-1] in _ABOUT:
        return NO_SECRET
    found = NO_SECRET
    for word in words:
        if word in _STRONG or word.endswith(_ENDS):
            return STRONG
        if word in _WEAK or word.endswith("token"):
            found = WEAK
    if found and "key" in words and not _OF_KEYS.isdisjoint(words):
        return STRONG
    return found


def _words(name: str) -> list[str]:
    """Return the words of *name* in small letters: of `dbPassword2`, `X-Api-Keys` or `AWS_SECRET`."""
    plain = name.replace("-", "_").replace(".", "_")
    if not (plain.islower() or plain.isupper()):
        parts = []
        for before, character in zip(" " + plain, plain, strict=False):
            parts.append("_" + character if character.isupper() and before.islower() else character)
        plain = "".join(parts)
    words = [word.rstrip("0123456789") for word in plain.lower().split("_")]
    return [word.removesuffix("s") if word not in _NO_PLURALS else word for word in words if word]


def is_plain(value: str) -> bool:
    """Say whether *value* is no secret although its name might say so: a number, a path, a yes or no, nothing."""
    text = value.strip().strip(_QUOTES)
    if text.lower() in _OPEN or text.replace(".", "").replace("_", "").isdigit():
        return True
    return text.startswith(("/", "./", "../", "~", "$", "%", "<", "{{")) and not has_long_run(text)


# By a name


def _hide_named(text: str) -> str:
    """Hide what stands behind names of secrets."""
    parts, done, start = [], 0, 0
    for word in split(text, _NAMES):
        stop = start + len(word)
        if word and start >= done:
            first, last = _value_behind(text, start, stop)
            if last > first:
                parts += [text[done:first], HIDDEN]
                done = last
        start = stop + 1
    return "".join([*parts, text[done:]])


def _value_behind(text: str, start: int, stop: int) -> tuple[int, int]:
    """Return where the secret begins and ends that the word *text*[start:stop] announces; (0, 0) if there is none."""
    word = text[start:stop].strip(".")
    if len(word) > _MAX_NAME:
        return 0, 0
    if word.lower() in ("bearer", "basic") and text[stop : stop + 1] == " ":
        return _scheme_value(text, stop + 1)
    strength = secrecy(word)
    if not strength:
        return 0, 0
    quoted = text[start - 1 : start] in _QUOTES and start > 0
    at = stop
    while at < len(text) and text[at] in _QUOTES + "\\])":
        at += 1
    if word.startswith("--" if not quoted else "-") and text[at : at + 1] in (" ", ","):
        separator = " "
        while at < len(text) and text[at] in " ,":
            at += 1
        if text[at : at + 1] == "-" or text[at : at + 2] in ("'-", '"-'):
            return 0, 0
    elif quoted and text[start - 2 : start - 1] == "(" and text[at : at + 1] == ",":
        separator = ","  # of a pair: ("password", "x")
        at = _stop(text, at, _QUOTES)
    else:
        at, separator = _separator(text, at, start, word.lower())
        if not separator:
            return 0, 0
    first, last = _value(text, at, word.lower())
    value = text[first:last]
    if strength == WEAK and separator == ":" and not quoted:
        bare = value.strip(_QUOTES)
        if len(bare) < 6 or (bare.isalpha() and (bare.islower() or bare.istitle())) or "_" in bare:
            return 0, 0  # a word of a sentence: Unexpected token: name
    if value.strip(_QUOTES).lower() in _OPEN or (strength == WEAK and is_plain(value)):
        return 0, 0
    return first, last


def _separator(text: str, at: int, start: int, name: str) -> tuple[int, str]:
    """Return where the value begins behind a name that ends before *at*, and what stands between; "" if it is no name."""
    here = at
    while here < len(text) and text[here] in " \t":
        here += 1
    sign = text[here : here + 1]
    if sign in ("=", ":") and sign:
        while here < len(text) and text[here] in "=:>":
            here += 1
    elif sign == ">" and text[start - 1 : start] == "<" and here == at:
        here += 1
    elif sign and sign in _QUOTES and here > at and name.endswith(_ENDS):
        return here, sign  # PASSWORD 'x'
    else:
        return at, ""
    while here < len(text) and text[here] in " \t":
        here += 1
    return here, sign


def _value(text: str, at: int, name: str) -> tuple[int, int]:
    """Return where the value at *at* begins and ends: a quoted text, what is in brackets, or up to a space or comma."""
    stop = at
    while (
        stop < at + 3
        and text[stop : stop + 1] in ("b", "u", "r", "f", "\\")
        and stop + 1 < len(text)
    ):
        stop += 1
    if text[stop : stop + 1] and text[stop] in _QUOTES:
        end = text.find(text[stop], stop + 1)
        while end > 0 and text[end - 1] == "\\" and text[stop - 1 : stop] != "\\":
            end = text.find(text[stop], end + 1)
        return at, end + 1 if end >= 0 else len(text)
    if text[at : at + 1] in _BRACKETS:
        end = text.find(_BRACKETS[text[at]], at)
        return at, end + 1 if end >= 0 else len(text)
    behind = _BEHIND_VALUE
    if "authorization" in name or "cookie" in name:  # to the end of the line
        behind = "\r\n\"'`\\"
    stop = _stop(text, at, behind)
    if text[at:stop].lower() in _SCHEMES and text[stop : stop + 1] == " ":
        stop = _stop(text, stop + 1, behind)
    return at, stop


def _scheme_value(text: str, at: int) -> tuple[int, int]:
    """Return what follows `Bearer` or `Basic`, unless it is a word of a sentence."""
    stop = _stop(text, at, _BEHIND_VALUE)
    value = text[at:stop].rstrip(".:")
    if len(value) < 6 or "-" in value[:-1] and value.replace("-", "").isalpha():
        return 0, 0
    return (0, 0) if value.isalpha() and (value.islower() or value.istitle()) else (at, stop)


def _stop(text: str, at: int, behind: str) -> int:
    while at < len(text) and text[at] not in behind:
        at += 1
    return at


# By their place in a URL


def _hide_users(text: str) -> str:
    """Hide who a URL is opened as, and passwords in `user:password@host`."""
    parts, done = [], 0
    while (at := text.find("@", done)) >= 0:
        start = at
        while start > done and text[start - 1] not in _BEHIND_URL:
            start -= 1
        stop = _stop(text, at, _BEHIND_URL)
        first, last = _user_in(text[start:stop])
        if last > first:
            parts += [text[done : start + first], HIDDEN]
            done = start + last
        else:
            parts.append(text[done:stop])
            done = stop
    return "".join([*parts, text[done:]])


def _user_in(word: str) -> tuple[int, int]:
    """Return where user and password, or the password alone, begin and end in *word*, which has an `@` in it."""
    scheme = word.find("://")
    if scheme < 0:
        at = word.rfind("@")
        name, colon, password = word[:at].rpartition("(")[2].partition(":")
        known = name.rpartition("=")[2].rpartition(",")[2]
        if not colon or not password or not known or known == "mailto" or "/" in name:
            return 0, 0
        return at - len(password), at
    start = scheme + 3
    authority = _stop(word, start, "/?#")
    at = word.rfind("@", start, authority)
    if at < 0:
        _, colon, port = word[start:authority].partition(":")
        if not colon or not port or port.isdigit() or word.startswith("[", start):
            return 0, 0
        at = word.rfind("@")  # the password has a slash or the like in it
    return start, at


def _hide_queries(text: str) -> str:
    """Hide the values in the query and the fragment of what may be a URL; their names stay."""
    parts, done = [], 0
    for at in [at for at, character in enumerate(text) if character in "?#"]:
        if (
            at < done
            or not text[at + 1 : at + 2].isalnum()
            or text[at - 1 : at] in _BEFORE_QUESTION
        ):
            continue
        stop = _stop(text, at, _BEHIND_URL + "),;#" if text[at] == "?" else _BEHIND_URL + "),;")
        query = text[at + 1 : stop]
        if "=" not in query or "==" in query[:-2]:
            continue
        pairs = [pair.partition("=") for pair in query.split("&")]
        shown = "&".join(f"{name}={HIDDEN}" if equals and value else name + equals for name, equals, value in pairs)  # fmt: skip
        parts.append(text[done : at + 1] + shown)
        done = stop
    return "".join([*parts, text[done:]])
