"""More than two hundred fake credentials, each planted in one place of a program: made by a seeded generator, none was ever valid.

A secret has a random *core* that stands nowhere else, by which it is found wherever it went. Those without a shape of
their own stand where a name or a place gives them away; those of well-known vendors' formats also stand alone.
"""

from __future__ import annotations

import base64
import random
import string
from collections.abc import Callable
from dataclasses import dataclass

SEED = 20261124
_MIXED = string.ascii_letters + string.digits
_SMALL = string.ascii_lowercase + string.digits
_HEX = "0123456789abcdef"


@dataclass(frozen=True, slots=True)
class Planted:
    """One secret: *text* is what the program has in *place*, *core* what must be found nowhere."""

    place: str  # argv, option, environment, error, argument, keyword, dictionary, header, thread, child
    text: str
    core: str


# Where a secret without a shape stands; {s} is the secret.
NAMED = (
    "login failed: password={s}",
    "{{'user': 'a', 'password': '{s}', 'n': 3}}",
    '{{"api_key": "{s}"}}',
    '{{\\"access_token\\": \\"{s}\\"}}',
    "could not connect to postgres://app:{s}@db:5432/x",
    "mysql+pymysql://app:{s}@db/x?charset=utf8",
    "redis://:{s}@cache:6379/0",
    "amqp://guest:{s}@mq//",
    "mongodb+srv://u:{s}@cluster.example/x?w=majority",
    "invalid port in postgres://app:a/{s}@db/x",
    "GET https://api.example.com/v1?key={s}&page=2 failed",
    "redirected to https://h/cb#access_token={s}&x=1",
    "Max retries exceeded with url: /v1/items?sig={s} (Caused by x)",
    "sent Authorization: Bearer {s}",
    "X-Api-Key: {s}",
    "Set-Cookie: session={s}; path=/",
    "Server=db;User Id=sa;Password={s};Timeout=3",
    "AccountName=x;AccountKey={s};EndpointSuffix=core",
    "host=db user=x password='{s}' dbname=x",
    "ALTER USER x PASSWORD '{s}'",
    "[('Authorization', 'Bearer {s}')]",
    "Command '['curl', '--password', '{s}']' returned 1",
    "<password>{s}</password>",
    "client_secret: {s}",
    "root:{s}@tcp(10.0.0.1:3306)/db",
    "AWS_SECRET_ACCESS_KEY={s}",
    'export DB_PASSWORD="{s}"',
    "proxy http://user:{s}@proxy:3128/ refused",
    "passphrase = {s}",
    "os.environ['SMTP_PASSWORD'] = '{s}'",
)
KEYWORDS = (
    "password", "token", "api_key", "secret", "dbPassword", "auth_token", "passwd", "client_secret", "private_key",
    "AWS_SECRET_ACCESS_KEY", "credentials", "session_key", "key", "pwd",
)  # fmt: skip
OPTIONS = ("--password", "--api-key", "--token", "--db-password", "--client-secret", "--pwd")


class Maker:
    """Makes secrets, all different."""

    def __init__(self) -> None:
        self._random = random.Random(SEED)

    def text(self, length: int, letters: str = _MIXED) -> str:
        """Return *length* random *letters*, capitals, small letters and digits among them if they are mixed."""
        while True:
            text = "".join(self._random.choices(letters, k=length))
            if letters != _MIXED or (
                any(map(str.isdigit, text)) and any(map(str.isupper, text)) and any(map(str.islower, text))
            ):  # fmt: skip
                return text

    def password(self) -> str:
        """Return a password as people choose them: no shape tells it."""
        return self._random.choice(["hunter", "Sommer", "letmein", "correct-horse"]) + self.text(
            10, _SMALL
        )


def _prefixed(
    prefix: str, length: int, letters: str = _MIXED
) -> Callable[[Maker], tuple[str, str]]:
    def make(maker: Maker) -> tuple[str, str]:
        core = maker.text(length, letters)
        return prefix + core, core

    return make


def _web_token(maker: Maker) -> tuple[str, str]:
    core = maker.text(43)
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').decode().rstrip("=")
    return f"{head}.{maker.text(40)}.{core}", core


def _private_key(maker: Maker) -> tuple[str, str]:
    core = maker.text(60)
    lines = "\n".join([maker.text(64), core, maker.text(64)])
    return f"-----BEGIN RSA PRIVATE KEY-----\n{lines}\n-----END RSA PRIVATE KEY-----", core


def _two_parts(
    first: str, length: int, between: str, rest: int
) -> Callable[[Maker], tuple[str, str]]:
    def make(maker: Maker) -> tuple[str, str]:
        core = maker.text(rest)
        return f"{first}{maker.text(length)}{between}{core}", core

    return make


def _standard_base64(maker: Maker) -> tuple[str, str]:
    one, core = maker.text(13), maker.text(20)
    return f"{one}/{maker.text(5)}+{core}", core


SHAPED: tuple[Callable[[Maker], tuple[str, str]], ...] = (
    _prefixed("AKIA", 16, string.ascii_uppercase + "234567"), _prefixed("ASIA", 16, string.ascii_uppercase + "234567"),
    _prefixed("ghp_", 36), _prefixed("gho_", 36), _prefixed("github_pat_", 70), _prefixed("glpat-", 20),
    _prefixed("xoxb-2345678901-", 24), _prefixed("xapp-1-A0", 40), _prefixed("sk_live_", 24), _prefixed("rk_test_", 24),
    _prefixed("sk-proj-", 48), _prefixed("sk-ant-api03-", 80), _prefixed("AIza", 35), _prefixed("ya29.a0", 60),
    _prefixed("GOCSPX-", 28), _prefixed("npm_", 36), _prefixed("pypi-AgEIcHlwaS5vcmc", 80), _prefixed("hf_", 34),
    _prefixed("dop_v1_", 64, _HEX), _prefixed("shpat_", 32, _HEX), _prefixed("dapi", 32, _HEX), _prefixed("dckr_pat_", 27),
    _prefixed("glsa_", 40), _prefixed("hvs.CAES", 60), _prefixed("whsec_", 32), _prefixed("NRAK-", 27, string.ascii_uppercase + "0123456789"),
    _prefixed("lin_api_", 40), _prefixed("xkeysib-", 64, _HEX), _prefixed("key-", 32, _HEX), _prefixed("", 64, _HEX),
    _prefixed("", 32, _HEX), _prefixed("", 40), _two_parts("SG.", 22, ".", 43), _two_parts("https://hooks.slack.com/services/T0", 9, "/B01ABCDEF/", 24),
    _two_parts("https://discord.com/api/webhooks/1", 3, "/", 68), _two_parts("123456789:AA", 3, "-", 31), _web_token, _private_key,
    _standard_base64, _prefixed("r8_", 37), _prefixed("sntrys_", 60), _prefixed("ATATT3xFf", 60),
)  # fmt: skip


def corpus() -> list[Planted]:
    """Return the secrets, always the same."""
    maker, found = Maker(), []
    for template in NAMED:
        for place in ("error", "argument", "argv"):
            core = maker.password()
            found.append(Planted(place, template.format(s=core), core))
    for name in KEYWORDS:
        core = maker.password()
        found.append(Planted("keyword", f"{name}={core}", core))
    for option in OPTIONS:
        core = maker.password()
        found += [Planted("option", f"{option} {core}", core)]
    for place in ("environment", "dictionary", "header", "child"):
        for _ in range(3):
            core = maker.password()
            found.append(Planted(place, core, core))
    for number, make in enumerate(SHAPED):
        for place in ("argument", ("error", "argv", "thread")[number % 3]):
            text, core = make(maker)
            shown = f"the backend refused {text} today" if place == "error" else text
            found.append(Planted(place, shown, core))
    return found
