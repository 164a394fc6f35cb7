"""Options, variables, the project's file, the user's own: which one decides, and what agents are told of it."""

from pathlib import Path
from typing import Any

import pytest

from rheostat_agent.configuration.destination import Destination
from rheostat_agent.configuration.otel import ConfigurationRefused, read_destinations
from rheostat_agent.configuration.settings import Configuration, delivery_environment
from rheostat_agent.configuration.table import SETTINGS

ENDPOINT, HEADERS = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS"


class Place:
    """A project, and a user's folder of configuration."""

    def __init__(self, folder: Path) -> None:
        self.project = folder / "project"
        self.own = folder / "home/.config/rheostat/rheostat.toml"
        self.project.mkdir()
        self.own.parent.mkdir(parents=True)
        self.home = {"HOME": str(folder / "home")}

    def user(self, text: str) -> None:
        """Write the user's own file."""
        self.own.write_text(text)
        self.own.chmod(0o600)

    def read(
        self, given: dict[str, Any] | None = None, environ: dict[str, str] | None = None
    ) -> Configuration:
        """Return what is set in all places."""
        configuration = Configuration(given or {}, {**self.home, **(environ or {})})
        configuration.read_project(str(self.project), str(self.project))
        configuration.read_own()
        return configuration

    def traces(self, environ: dict[str, str], given: dict[str, Any] | None = None) -> Destination:
        """Return where an agent sends traces to."""
        found = read_destinations(
            delivery_environment({**self.home, **environ}, given or {}), lambda text: None
        )
        return next(one for one in found if one.signal == "traces")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A place with nothing in it."""
    return Place(tmp_path)


def test_the_first_place_decides(place: Place) -> None:
    """Options, variables, rheostat.toml, pyproject.toml, the user's own file, the default; each says where it is."""
    given, environ = {"max_spans": 1}, {"RHEOSTAT_MAX_SPANS": "2"}
    seen = []

    def look(*layers: dict[str, Any]) -> None:
        configuration = place.read(*layers)
        seen.append((configuration.values()["max_spans"], configuration.origin("max_spans").text))

    look()
    place.user("max_spans = 5\n")
    look()
    (place.project / "pyproject.toml").write_text("[project]\n[tool.rheostat]\n\nmax_spans = 4")
    look()
    (place.project / "rheostat.toml").write_text("max_spans = 3")
    look()
    look({}, environ)
    look(given, environ)

    assert seen == [
        (5_000_000, "default"),
        (5, "~/.config/rheostat/rheostat.toml:1"),
        (4, "pyproject.toml:4"),
        (3, "rheostat.toml:1"),
        (2, "RHEOSTAT_MAX_SPANS"),
        (1, "--max-spans"),
    ]


def test_two_files_of_a_project(place: Place) -> None:
    """A key that both have is said; of other keys each counts."""
    (place.project / "pyproject.toml").write_text("[tool.rheostat]\nname = 'a'\nquiet = true\n")
    (place.project / "rheostat.toml").write_text("full = true\nname = 'b'\n")
    configuration = place.read()

    assert configuration.values()["name"] == "b"
    assert configuration.values()["quiet"] is True
    assert configuration.remarks == ["pyproject.toml:2: name: not used, rheostat.toml:2 has it too"]


@pytest.mark.parametrize(
    ("key", "toml", "text", "value"),
    [
        ("name", "'x y'", "x y", "x y"),
        ("include", "['a.*', 'b']", "a.*, b", ["a.*", "b"]),
        ("full", "true", "TRUE", True),
        ("quiet", "false", "false", False),
        ("max_spans", "5_000", "5000", 5000),
        ("max_disk", "'2GB'", "2GB", 2_000_000_000),
        ("max_disk", "7", "7", 7),
        ("wait", "2.5", "2.5s", 2.5),
        ("wait", "'10m'", "10m", 600.0),
        ("summary", "'full'", "full", "full"),
        ("export", "'errors'", "errors", "errors"),
        ("export_when", "['error', 'slow']", "error,slow", ["error", "slow"]),
        ("export_when", "'error'", "error", ["error"]),
        ("pending", "5", "5", 5.0),
        ("capture_args", "true", "true", True),
    ],
)
def test_values(place: Place, key: str, toml: str, text: str, value: Any) -> None:
    """A file and a variable can say the same."""
    (place.project / "rheostat.toml").write_text(f"{key} = {toml}\n")
    by_file = place.read().values()
    (place.project / "rheostat.toml").unlink()
    by_variable = place.read({}, {f"RHEOSTAT_{key.upper()}": text}).values()

    assert by_file[key] == by_variable[key] == value
    assert type(by_file[key]) is type(by_variable[key])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("RHEOSTAT_MAX_SPANS", "many"),
        ("RHEOSTAT_MAX_SPANS", "-1"),
        ("RHEOSTAT_QUIET", "1"),
        ("RHEOSTAT_SUMMARY", "long"),
        ("RHEOSTAT_EXPORT_WHEN", "error,fast"),
        ("RHEOSTAT_WAIT", "nan"),
        ("RHEOSTAT_MAX_DISK", "inf"),
    ],
)
def test_variables_that_make_no_sense(place: Place, name: str, text: str) -> None:
    """An error that names the variable, says what is wanted and what is there."""
    with pytest.raises(ConfigurationRefused, match=rf'^{name}: .* is wanted, not "{text}"$'):
        place.read({}, {name: text})


def test_empty_variables_are_not_set(place: Place) -> None:
    """As everywhere."""
    assert place.read({}, {"RHEOSTAT_MAX_SPANS": ""}).origin("max_spans").text == "default"


def test_service_name(place: Place) -> None:
    """OTEL_SERVICE_NAME names the workflow, where Rheostat's own variable does not; a file comes behind both."""
    (place.project / "rheostat.toml").write_text("name = 'file'\n")
    service = {"OTEL_SERVICE_NAME": "service"}

    assert place.read({}, service).values()["name"] == "service"
    assert place.read({}, service).origin("name").text == "OTEL_SERVICE_NAME"
    assert place.read({}, {**service, "RHEOSTAT_NAME": "ours"}).values()["name"] == "ours"


def test_paths_in_files(place: Place) -> None:
    """They begin where the file is; a name without a folder is looked for on PATH."""
    (place.project / "rheostat.toml").write_text("python = 'env/bin/python'\n")
    assert place.read().values()["python"] == str(place.project / "env/bin/python")

    (place.project / "rheostat.toml").write_text("python = 'python3.12'\n")
    assert place.read().values()["python"] == "python3.12"


def test_the_users_endpoint(place: Place) -> None:
    """All that their own file says of it is what agents go by."""
    place.user(
        "endpoint = 'https://c/x'\nprotocol = 'http/json'\ntimeout = '2s'\ncompression = 'gzip'\n"
        "certificate = 'ca.pem'\nclient_certificate = '/c.pem'\nclient_key = '/k.pem'\n"
        "[headers]\nX-Key = 'a,b; c=%é'\n"
    )
    found = place.traces({})

    assert (
        found.as_dict()
        == Destination(
            signal="traces",
            protocol="http/json",
            endpoint="https://c/x/v1/traces",
            headers=(("x-key", "a,b; c=%é"),),
            timeout_s=2.0,
            compression="gzip",
            certificate=str(place.own.parent / "ca.pem"),
            client_certificate="/c.pem",
            client_key="/k.pem",
        ).as_dict()
    )


@pytest.mark.parametrize(
    ("environ", "given"),
    [
        ({ENDPOINT: "https://other"}, {}),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://other/"}, {}),
        ({"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "https://other/", "OTEL_TRACES_EXPORTER": "otlp"}, {}),
        ({}, {"endpoint": "https://other"}),
    ],
)  # fmt: skip
def test_the_users_headers_go_to_their_endpoint_alone(
    place: Place, environ: dict[str, str], given: dict[str, str]
) -> None:
    """Where anything else says where to send, what is meant for their own backend is not sent there."""
    place.user(
        "endpoint = 'https://own'\nprotocol = 'grpc'\nclient_key = 'k'\ntimeout = 3\n[headers]\nk = 'hush'\n"
    )
    found = place.traces(environ, given)
    everything = delivery_environment({**place.home, **environ}, given)

    assert "own" not in found.endpoint
    assert (found.headers, found.protocol, found.client_key) == ((), "http/protobuf", "")
    assert found.timeout_s == 3.0
    assert not any("hush" in text for text in everything.values())


def test_variables_win_over_the_users_file(place: Place) -> None:
    """Each by itself."""
    place.user("endpoint = 'https://own'\ncompression = 'gzip'\n[headers]\nk = 'file'\n")
    found = place.traces({HEADERS: "k=variable", "OTEL_EXPORTER_OTLP_COMPRESSION": "none"})

    assert (found.endpoint, found.headers) == ("https://own/v1/traces", (("k", "variable"),))
    assert found.compression == "none"


def test_options_win_over_variables(place: Place, tmp_path: Path) -> None:
    """Also over those for one signal, and over one that turns sending off."""
    headers = tmp_path / "headers"
    headers.write_text("# of the backend\n\nAuthorization: Bearer a,b=c%\n")
    environ = {
        ENDPOINT: "https://base", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://signal/", HEADERS: "k=base",
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "k=signal", "OTEL_TRACES_EXPORTER": "none",
    }  # fmt: skip
    found = place.traces(environ, {"endpoint": "http://127.0.0.1:1", "headers_from": str(headers)})

    assert found.endpoint == "http://127.0.0.1:1/v1/traces"
    assert found.headers == (("authorization", "Bearer a,b=c%"),)


@pytest.mark.parametrize(
    ("data", "place_of"),
    [(b"a: 1\nhush", ":2"), (b"hush hush: x", ":1"), (b"a: \x00hush", ":1"), (b"\xff", ""), (b"a: " + b"x" * 70000, "")],
)  # fmt: skip
def test_a_file_of_headers_that_is_none(
    place: Place, tmp_path: Path, data: bytes, place_of: str
) -> None:
    """An error with its place, without what may be a secret."""
    file = tmp_path / "headers"
    file.write_bytes(data)

    with pytest.raises(ConfigurationRefused) as caught:
        delivery_environment(place.home, {"headers_from": str(file)})

    assert str(caught.value).startswith(f"--headers-from {file}{place_of}: ")
    assert "hush" not in str(caught.value)


def test_a_file_of_headers_that_is_missing(place: Place) -> None:
    """As for every file."""
    with pytest.raises(ConfigurationRefused, match="^--headers-from /none: No such file"):
        delivery_environment(place.home, {"headers_from": "/none"})


def test_files_are_found_from_anywhere(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent works in /: what variables say of files is made absolute."""
    monkeypatch.chdir(place.project)
    environ = {
        "OTEL_EXPORTER_OTLP_CERTIFICATE": "ca.pem", "OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY": "../k.pem",
        "OTEL_EXPORTER_OTLP_CLIENT_KEY": "/k.pem",
    }  # fmt: skip
    found = delivery_environment({**place.home, **environ}, {})

    assert [found[name] for name in environ] == [
        str(place.project / "ca.pem"), str(place.project.parent / "k.pem"), "/k.pem",
    ]  # fmt: skip


def test_others_can_read_the_headers(place: Place) -> None:
    """That is said, with the remedy."""
    place.user("endpoint = 'https://c'\n[headers]\nk = 'hush'\n")
    assert place.read().remarks == []

    place.own.chmod(0o644)
    assert place.read().remarks == [
        "~/.config/rheostat/rheostat.toml:2: others can read them: chmod 600"
    ]


def test_where_the_users_file_is(place: Place, tmp_path: Path) -> None:
    """$XDG_CONFIG_HOME, if it is an absolute path."""
    other = tmp_path / "other/rheostat/rheostat.toml"
    other.parent.mkdir(parents=True)
    other.write_text("max_spans = 9\n")

    for base, value in ((str(tmp_path / "other"), 9), ("other", 5_000_000)):
        assert place.read({}, {"XDG_CONFIG_HOME": base}).values()["max_spans"] == value


def test_one_table() -> None:
    """No key, option or variable is there twice."""
    for names in (
        [setting.key for setting in SETTINGS],
        [setting.variable for setting in SETTINGS],
        [setting.flag for setting in SETTINGS if setting.flag],
    ):
        assert len(names) == len(set(names))
