"""What the repository says of the code that runs: the vcs.* resource attributes, read from `.git` itself.

No `git` is started: a repository that is being run could bring its own. Credentials in a remote's URL are left out.
(Semantic conventions 1.44, resource/vcs and the vcs attribute registry.)
"""

from configparser import ConfigParser
from configparser import Error as ConfigError
from pathlib import Path
from string import hexdigits
from urllib.parse import urlsplit, urlunsplit

_MAX_BYTES = 10 << 20


def vcs_attributes(folder: Path) -> dict[str, str]:
    """Return the vcs.* attributes of the repository that *folder* lies in; none if there is none or it is unusual."""
    for above in (folder, *folder.parents):
        if (above / ".git").exists():
            break
    else:
        return {}
    try:
        return _read(above / ".git")
    except (OSError, ValueError, ConfigError):  # ValueError: no text, or no URL
        return {}


def _read(git: Path) -> dict[str, str]:
    if git.is_file():  # a worktree or submodule
        git = (git.parent / _text(git).removeprefix("gitdir:").strip()).resolve()
    common = git
    if (git / "commondir").is_file():
        common = (git / _text(git / "commondir").strip()).resolve()
    found: dict[str, str] = {}
    head = _text(git / "HEAD").strip()
    if head.startswith("ref: "):
        ref = head.removeprefix("ref: ")
        found["vcs.ref.head.name"] = ref.removeprefix("refs/heads/")
        found["vcs.ref.head.type"] = "branch"
        head = _resolve(git, common, ref)
    if head and not head.strip(hexdigits):
        found["vcs.ref.head.revision"] = head
    url = _origin(common)
    if url:
        found["vcs.repository.url.full"] = url
        found["vcs.repository.name"] = url.rstrip("/").rpartition("/")[2].removesuffix(".git")
    return found


def _resolve(git: Path, common: Path, ref: str) -> str:
    for folder in (git, common):
        if ".." not in ref and (folder / ref).is_file():
            return _text(folder / ref).strip()
    packed = common / "packed-refs"
    if packed.is_file():
        for line in _text(packed).splitlines():
            revision, _, name = line.partition(" ")
            if name == ref:
                return revision
    return ""


def _origin(common: Path) -> str:
    config = ConfigParser(strict=False, interpolation=None, allow_no_value=True)
    config.read_string(_text(common / "config"))
    url = config.get('remote "origin"', "url", fallback="") or ""
    parts = urlsplit(url)
    if parts.scheme and parts.netloc:
        return urlunsplit(
            parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="")
        )
    return url.rpartition("@")[2] if "@" in url else url  # git@host:path


def _text(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_MAX_BYTES).decode()
