"""Where things are kept: found by the environment, made private, never another's."""

import os
from pathlib import Path

import pytest

from rheostat_agent.state import StateUnusable, cache_directory, file_system, state_directory


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({"RHEOSTAT_STATE_DIR": "{tmp}/own"}, "{tmp}/own"),
        ({"RHEOSTAT_STATE_DIR": "{tmp}/own", "XDG_STATE_HOME": "{tmp}/xdg"}, "{tmp}/own"),
        ({"XDG_STATE_HOME": "{tmp}/xdg/"}, "{tmp}/xdg/rheostat"),
        ({"XDG_STATE_HOME": "relative", "HOME": "{tmp}"}, "{tmp}/.local/state/rheostat"),
        ({"HOME": "{tmp}"}, "{tmp}/.local/state/rheostat"),
    ],
)
def test_the_environment_says_where(tmp_path: Path, environ: dict[str, str], wanted: str) -> None:
    """RHEOSTAT_STATE_DIR, else XDG's, unless it is relative, else below the home directory."""
    given = {name: value.format(tmp=tmp_path) for name, value in environ.items()}

    assert state_directory(given) == (wanted.format(tmp=tmp_path), None)


def test_a_relative_directory_is_made_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs change their directory; the state stays where it was."""
    monkeypatch.chdir(tmp_path)

    assert state_directory({"RHEOSTAT_STATE_DIR": "here"}) == (str(tmp_path / "here"), None)


def test_it_is_made_for_us_alone(tmp_path: Path) -> None:
    """Mode 0700, whatever the umask."""
    before = os.umask(0)
    try:
        state, _ = state_directory({"RHEOSTAT_STATE_DIR": f"{tmp_path}/a/b/c"})
    finally:
        os.umask(before)

    assert os.stat(state).st_mode & 0o777 == 0o700


def test_an_empty_directory_is_closed_to_others(tmp_path: Path) -> None:
    """One that was made for us in advance becomes private."""
    tmp_path.chmod(0o755)
    state_directory({"RHEOSTAT_STATE_DIR": str(tmp_path)})

    assert tmp_path.stat().st_mode & 0o777 == 0o700


def test_our_own_directory_is_closed_to_others(tmp_path: Path) -> None:
    """One that has runs in it is ours, and becomes private again."""
    (tmp_path / "runs").mkdir()
    tmp_path.chmod(0o755)
    state_directory({"RHEOSTAT_STATE_DIR": str(tmp_path)})

    assert tmp_path.stat().st_mode & 0o777 == 0o700


def test_a_directory_of_other_things_keeps_its_mode(tmp_path: Path) -> None:
    """A directory that others use, such as /tmp, is refused and left as it is."""
    (tmp_path / "other").write_text("")
    tmp_path.chmod(0o755)

    with pytest.raises(StateUnusable, match="holds other things"):
        state_directory({"RHEOSTAT_STATE_DIR": str(tmp_path)})
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_a_link_is_refused(tmp_path: Path) -> None:
    """A link may be turned elsewhere by who owns its folder."""
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("real")

    with pytest.raises(StateUnusable, match="is a link"):
        state_directory({"RHEOSTAT_STATE_DIR": f"{tmp_path}/link"})


def test_a_file_is_refused(tmp_path: Path) -> None:
    """A file in the way is named."""
    (tmp_path / "file").write_text("")

    with pytest.raises(StateUnusable, match="file is not a directory"):
        state_directory({"RHEOSTAT_STATE_DIR": f"{tmp_path}/file"})


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    """The reason is the system's."""
    (tmp_path / "file").write_text("")

    with pytest.raises(StateUnusable, match="cannot make .*file/below"):
        state_directory({"RHEOSTAT_STATE_DIR": f"{tmp_path}/file/below"})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_anothers_directory_is_refused(tmp_path: Path) -> None:
    """Who owns it could replace what is in it."""
    own = tmp_path / "theirs"
    own.mkdir(mode=0o700)
    os.chown(own, 65534, 65534)

    with pytest.raises(StateUnusable, match="is not yours"):
        state_directory({"RHEOSTAT_STATE_DIR": str(own)})


def mounts(tmp_path: Path, *lines: str) -> str:
    """Return the path of a table of mounts with these (mount point, type)."""
    path = tmp_path / "mountinfo"
    rows = [f"1 0 0:1 / {line.split()[0]} rw - {line.split()[1]} source rw" for line in lines]
    path.write_text("\n".join(rows) + "\n")
    return str(path)


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "fuse", "9p", "ceph"])
def test_a_remote_file_system_is_told(tmp_path: Path, kind: str) -> None:
    """By its type, whether the path is there or not."""
    table = mounts(tmp_path, "/ ext4", f"/mnt/far {kind}")

    assert file_system("/mnt/far/home/state", table) == kind
    assert file_system("/mnt/farther", table) is None


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "overlay", "tmpfs", "zfs", "fuseblk"])
def test_a_local_file_system_is_none_of_these(tmp_path: Path, kind: str) -> None:
    """A disk of this machine, or memory."""
    assert file_system("/mnt/near/state", mounts(tmp_path, "/ nfs", f"/mnt/near {kind}")) is None


def test_the_last_mount_counts(tmp_path: Path) -> None:
    """Of two mounts on one point the later hides the former; a space in its name is no obstacle."""
    table = mounts(tmp_path, "/ ext4", "/m\\040nt nfs", "/m\\040nt ext4")

    assert file_system("/m nt/state", table) is None


def test_the_cache_is_ours_below_the_users() -> None:
    """$XDG_CACHE_HOME, else .cache in the home directory."""
    assert cache_directory({"XDG_CACHE_HOME": "/c"}) == "/c/rheostat/code"
    assert cache_directory({"HOME": "/h"}) == "/h/.cache/rheostat/code"
