"""Secrets known by their shape alone: keys of well-known vendors, JSON Web Tokens, private keys, long random text.

A *run* is a stretch of letters, digits, `_` and `-`. Random text changes between small letters, capitals and digits far
more often than words, names and dates do; that ratio tells the two apart. UUIDs are names of things, and stay.
Part of masking.py, which says where it is used.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing takes longer than all of a bootstrap
if TYPE_CHECKING:
    from collections.abc import Callable

HIDDEN = "***"
LONG = 16  # a shorter run has no shape

# What vendors' keys begin with (their own documentation of secret scanning), and how long a key is at least.
_PREFIXES = (
    ("AKIA", 20), ("ASIA", 20), ("AROA", 20), ("AGPA", 20), ("ABIA", 20), ("ACCA", 20),  # AWS
    ("ghp_", 30), ("gho_", 30), ("ghu_", 30), ("ghs_", 30), ("ghr_", 30), ("github_pat_", 30),
    ("glpat-", 20), ("gldt-", 20), ("glrt-", 20), ("glptt-", 20), ("glcbt-", 20),
    ("xoxb-", 20), ("xoxp-", 20), ("xoxa-", 20), ("xoxr-", 20), ("xoxs-", 20), ("xoxe-", 20), ("xapp-", 20),
    ("sk_live_", 20), ("sk_test_", 20), ("rk_live_", 20), ("rk_test_", 20), ("pk_live_", 20), ("whsec_", 20),
    ("AIza", 35), ("ya29", 20), ("GOCSPX-", 20), ("npm_", 30), ("pypi-", 40), ("hf_", 30), ("rubygems_", 30),
    ("dop_v1_", 40), ("doo_v1_", 40), ("shpat_", 30), ("shpss_", 30), ("shpca_", 30), ("dapi", 32), ("dckr_pat_", 20),
    ("glsa_", 30), ("glc_", 30), ("hvs", 24), ("hvb", 24), ("tskey-", 20), ("PMAK-", 30), ("NRAK-", 20), ("lin_api_", 30),
    ("sntrys_", 30), ("sntryu_", 30), ("figd_", 30), ("xkeysib-", 30), ("sq0atp-", 20), ("sq0csp-", 20), ("EAAA", 30),
    ("ATATT3", 30), ("ATCTT3", 30), ("secret_", 40), ("ntn_", 30), ("pscale_tkn_", 30), ("pscale_pw_", 30), ("AGE-SECRET-KEY-", 30),
    ("phc_", 30), ("phx_", 30), ("pat-na1-", 30), ("key-", 32), ("r8_", 30), ("gsk_", 30), ("xai-", 30), ("pplx-", 30),
    ("fo1_", 30), ("hooks_", 40), ("sbp_", 30), ("dp_pt_", 30), ("dp.pt", 30), ("vercel_", 24), ("CFPAT-", 30), ("live_", 32),
)  # fmt: skip
_RANDOM_PREFIXES = (
    "sk-",
    "pk-",
    "sess-",
    "fk",
)  # … only if what follows is random: words begin like this, too
_UUID = (8, 4, 4, 4, 12)
_HEX = frozenset("0123456789abcdefABCDEF")
_LEAST_HEX, _LEAST_MIXED, _LEAST_SMALL = 32, 24, 28
_LEAST_PARTED = 32  # with slashes: base64
_CHANGES = 0.3  # of the pairs of neighbours in a random run at least


_PLAIN = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def table_of(more: bytes) -> bytes:
    """Return what `split` needs to split at all but ASCII letters, digits and *more*."""
    table = bytearray(b" " * 256)
    for code in _PLAIN + more:
        table[code] = code
    return bytes(table)


_RUNS, _PARTED = table_of(b"_-"), table_of(b"_-+/")


def split(text: str, table: bytes) -> list[bytes]:
    """Return the pieces of *text* between single characters that *table* splits at, in C."""
    return text.encode("ascii", "replace").translate(table).split(b" ")


def has_long_run(text: str) -> bool:
    """Say whether anything in *text* is long enough to have a shape."""
    for run in split(text, _RUNS):
        if len(run) >= LONG:
            return True
    return False


def hide_shapes(text: str) -> str:
    """Return *text* with what has the shape of a secret hidden."""
    if "-----BEGIN" in text:
        text = _hide_blocks(text)
    if "eyJ" in text:
        text = _hide_web_tokens(text)
    parts, done, start = [], 0, 0
    for run in split(text, _PARTED):
        stop = start + len(run)
        if len(run) >= LONG:
            for first, last in _secrets_in(text[start:stop], text[:start]):
                parts += [text[done : start + first], HIDDEN]
                done = start + last
        start = stop + 1
    return "".join([*parts, text[done:]])


def _secrets_in(run: str, before: str) -> list[tuple[int, int]]:
    """Return where secrets begin and end in *run*, which may have slashes in it; *before* is the text before it."""
    if "/" not in run and "+" not in run:
        return [(0, len(run))] if is_secret(run) else []
    address = before.rpartition(" ")[2][-300:]
    if "://" in address:
        return _parts_that(run, is_secret)  # of a URL
    if run[0] == "/" or address[-1:] in ("/", ".", "~", "\\"):
        return []  # a file's path
    if len(run) >= _LEAST_PARTED and _is_random(run):
        return [(0, len(run))]
    return _parts_that(run, _is_vendors)


def _parts_that(run: str, fits: Callable[[str], bool]) -> list[tuple[int, int]]:
    found, start = [], 0
    for part in run.replace("+", "/").split("/"):
        if len(part) >= LONG and fits(part):
            found.append((start, start + len(part)))
        start += len(part) + 1
    return found


def is_secret(run: str) -> bool:
    """Say whether *run* has the shape of a secret."""
    if len(run) < LONG:
        return False
    if _is_vendors(run):
        return True
    if tuple(map(len, run.split("-"))) == _UUID:
        return False
    if _HEX.issuperset(run):
        return len(run) >= _LEAST_HEX and not run.isdigit() and not run.isalpha()
    return _is_random(run)


def _is_vendors(run: str) -> bool:
    for prefix, least in _PREFIXES:
        if len(run) >= least and run.startswith(prefix):
            return True
    return run.startswith(_RANDOM_PREFIXES) and len(run) >= 20 and _is_random(run[3:], 16)


def _is_random(run: str, least: int = 0) -> bool:
    """Say whether *run* is long, of mixed characters, and changes between them as only random text does."""
    kinds = [
        "d" if character.isdigit() else "l" if character.islower() else "u"
        for character in run
        if character.isalnum()
    ]
    has = set(kinds)
    if "d" not in has or len(has) < 2:
        return False
    if len(kinds) < (least or (_LEAST_MIXED if len(has) == 3 else _LEAST_SMALL)):
        return False
    changes = sum(one != other for one, other in zip(kinds, kinds[1:], strict=False))  # noqa: RUF007
    return changes >= _CHANGES * (len(kinds) - 1)


def _hide_blocks(text: str) -> str:
    """Hide private keys: from BEGIN to END, or to the end of what there is."""
    parts, done = [], 0
    while (begin := text.find("-----BEGIN ", done)) >= 0:
        label, found, _ = text[begin + 11 :].partition("-----")
        if not found or "PRIVATE KEY" not in label:
            parts.append(text[done : begin + 11])
            done = begin + 11
            continue
        end = text.find("-----END ", begin)
        stop = text.find("-----", end + 9) if end >= 0 else -1
        parts += [text[done:begin], HIDDEN]
        done = stop + 5 if stop >= 0 else len(text)
    return "".join([*parts, text[done:]])


def _hide_web_tokens(text: str) -> str:
    """Hide JSON Web Tokens: `eyJ…` with a dot in it."""
    parts, done = [], 0
    while (begin := text.find("eyJ", done)) >= 0:
        stop = begin
        while stop < len(text) and (text[stop].isalnum() or text[stop] in "_-.="):
            stop += 1
        if "." in text[begin:stop].rstrip(".") and stop - begin >= 2 * LONG:
            parts += [text[done:begin], HIDDEN]
        else:
            parts.append(text[done:stop])
        done = stop
    return "".join([*parts, text[done:]])
