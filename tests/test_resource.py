"""The resource of a run: what the repository, the environment and the container say."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from rheostat_agent import resource
from rheostat_agent.resource import user_attributes
from rheostat_agent.vcs import vcs_attributes

REVISION = "0123456789abcdef0123456789abcdef01234567"
OTHER = "89abcdef0123456789abcdef0123456789abcdef"


def repository(folder: Path, head: str = "ref: refs/heads/main\n", config: str = "") -> Path:
    """Make *folder* a repository with one branch; return its `.git`."""
    git = folder / ".git"
    (git / "refs/heads").mkdir(parents=True)
    (git / "HEAD").write_text(head)
    (git / "refs/heads/main").write_text(f"{REVISION}\n")
    (git / "config").write_text(config)
    return git


def test_a_branch_is_named_with_its_revision(tmp_path: Path) -> None:
    """Found from a folder below, too."""
    repository(tmp_path)
    (tmp_path / "a/b").mkdir(parents=True)
    expected = {
        "vcs.ref.head.name": "main",
        "vcs.ref.head.type": "branch",
        "vcs.ref.head.revision": REVISION,
    }

    assert vcs_attributes(tmp_path) == expected
    assert vcs_attributes(tmp_path / "a/b") == expected


def test_what_git_makes_is_read(tmp_path: Path) -> None:
    """A commit by git itself, and its worktree."""
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    main, tree = tmp_path / "main", tmp_path / "tree"
    main.mkdir()

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", *who, *words], cwd=main, env=environ, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    git("init", "-q", "-b", "trunk")
    git("commit", "-q", "--allow-empty", "-m", "first")
    git("remote", "add", "origin", "https://u:p@git.example.org/team/jobs.git")
    git("worktree", "add", "-q", "-b", "side", str(tree))
    revision = git("rev-parse", "HEAD")

    for folder, branch in ((main, "trunk"), (tree, "side")):
        assert vcs_attributes(folder) == {
            "vcs.ref.head.name": branch,
            "vcs.ref.head.type": "branch",
            "vcs.ref.head.revision": revision,
            "vcs.repository.url.full": "https://git.example.org/team/jobs.git",
            "vcs.repository.name": "jobs",
        }
    git("pack-refs", "--all")
    assert vcs_attributes(main)["vcs.ref.head.revision"] == revision


def test_packed_refs_are_read(tmp_path: Path) -> None:
    """Where the branch has no file of its own."""
    git = repository(tmp_path, "ref: refs/heads/old\n")
    (git / "packed-refs").write_text(
        f"# pack-refs with: peeled\n{OTHER} refs/heads/old\n^{REVISION}\n{REVISION} refs/heads/x\n"
    )

    assert vcs_attributes(tmp_path)["vcs.ref.head.revision"] == OTHER


def test_a_detached_head_has_a_revision_alone(tmp_path: Path) -> None:
    """No name, for it is on no branch."""
    repository(tmp_path, f"{REVISION}\n")

    assert vcs_attributes(tmp_path) == {"vcs.ref.head.revision": REVISION}


def test_a_branch_without_a_commit_has_no_revision(tmp_path: Path) -> None:
    """As after `git init`."""
    repository(tmp_path, "ref: refs/heads/new\n")

    assert "vcs.ref.head.revision" not in vcs_attributes(tmp_path)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://user:token@git.example.org/a/b.git", "https://git.example.org/a/b.git"),
        ("https://token@git.example.org:8443/a/b", "https://git.example.org:8443/a/b"),
        ("https://h/a/b.git?access_token=x#y", "https://h/a/b.git"),
        ("https://u:p@w@h/a/b.git", "https://h/a/b.git"),
        ("ssh://git@h:22/a/b.git", "ssh://h:22/a/b.git"),
        ("git@h:a/b.git", "h:a/b.git"),
        ("/srv/git/b.git", "/srv/git/b.git"),
    ],
)
def test_credentials_of_the_remote_are_left_out(tmp_path: Path, url: str, told: str) -> None:
    """User, password, query: none of it is anybody's business."""
    repository(tmp_path, config=f'[core]\n\tbare = false\n[remote "origin"]\n\turl = {url}\n')
    found = vcs_attributes(tmp_path)

    assert found["vcs.repository.url.full"] == told
    assert found["vcs.repository.name"] == "b"


@pytest.mark.parametrize(
    "damage",
    [
        lambda git: (git / "HEAD").unlink(),
        lambda git: (git / "HEAD").write_bytes(b"\xff\xfe"),
        lambda git: (git / "config").write_text("no section\n"),
        lambda git: (git / "config").write_text('[remote "origin"]\n\turl = https://[h/x\n'),
        lambda git: (git / "HEAD").write_text("ref: ../../../../etc/passwd\n"),
        lambda git: (git / "HEAD").write_text(Path("/etc/passwd").read_text()),
        lambda git: (git / "refs/heads/main").write_text(Path("/etc/passwd").read_text()),
    ],
)
def test_a_broken_repository_is_no_obstacle(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    """What can be read of it is told, or nothing; nothing is raised, and no other file is read."""
    damage(repository(tmp_path))

    assert "root:" not in str(vcs_attributes(tmp_path))


def test_a_git_file_that_leads_nowhere_is_no_obstacle(tmp_path: Path) -> None:
    """As of a worktree whose repository was moved."""
    (tmp_path / ".git").write_text("gitdir: /nowhere/at/all\n")

    assert vcs_attributes(tmp_path) == {}


def test_no_repository_no_attributes(tmp_path: Path) -> None:
    """None is made up."""
    assert vcs_attributes(tmp_path) == {}


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("", {}),
        ("a=b", {"a": "b"}),
        ("a=b,c=d", {"a": "b", "c": "d"}),
        (" a = b , c=d ,", {"a": "b", "c": "d"}),
        ("a=x%2Cy%3Dz%25,b=%C3%A9", {"a": "x,y=z%", "b": "é"}),
        ("a=b=c", {"a": "b=c"}),
        ("a=", {"a": ""}),
        ("a=b,c", {}),
        ("a=b,=c", {}),
        ("a=b,c=%ff", {}),
        ("a=b,c=%zz", {}),
        ("a=b,c=%2", {}),
    ],
)
def test_the_users_resource_attributes(value: str, found: dict[str, str]) -> None:
    """Percent-encoded key=value pairs; one that is malformed discards them all."""
    assert user_attributes({"OTEL_RESOURCE_ATTRIBUTES": value}) == found


@pytest.mark.parametrize(
    ("cgroup", "container"),
    [
        (f"0::/docker/{'a1' * 32}\n", "a1" * 32),
        (f"0::/system.slice/docker-{'b2' * 32}.scope\n", "b2" * 32),
        (f"12:cpu:/kubepods/burstable/pod1/{'c3' * 32}\n", "c3" * 32),
        ("0::/user.slice\n", None),
    ],
)
def test_the_container_is_found_in_the_cgroup(
    monkeypatch: pytest.MonkeyPatch, cgroup: str, container: str | None
) -> None:
    """Docker's, systemd's and Kubernetes' ways of naming it."""
    monkeypatch.setattr(resource, "_text", lambda path: cgroup if "cgroup" in path else "")

    assert resource._container({}).get("container.id") == container


def test_the_pod_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name from the environment, namespace and uid from files."""
    uid = "01234567-89ab-cdef-0123-456789abcdef"
    files = {
        "/proc/self/cgroup": f"0::/kubepods.slice/kubepods-pod{uid.replace('-', '_')}.slice/x\n",
        "/var/run/secrets/kubernetes.io/serviceaccount/namespace": "jobs\n",
    }
    monkeypatch.setattr(resource, "_text", lambda path: files.get(path, ""))

    found = resource._container({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "HOSTNAME": "etl-7"})
    assert found == {
        "k8s.pod.name": "etl-7",
        "k8s.namespace.name": "jobs",
        "k8s.pod.uid": uid,
    }
