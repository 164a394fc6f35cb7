"""The first code of ours in an observed interpreter: `site` imports it, for PYTHONPATH begins with this directory.

It takes the directory off `sys.path` again, starts the recorder, and then imports the user's own `sitecustomize`, whose
absence or errors reach `site` as they would without us. Nothing here prints, and nothing of ours escapes.
Any interpreter that inherits the variable runs this, so the syntax is that of every Python since 2.7.

The recorder's modules are compiled once, their methods sealed (rheostat/codeobjects.py), and kept together in one file of
the cache directory: one read instead of fifteen searches, whether or not the interpreter may write `__pycache__`. They
are put into `sys.modules` under their own names; what else of the package is wanted later is found through its
`__path__`. Their code carries file names such as `<rheostat recorder>`: no source file, so coverage and debuggers leave
it alone, and a traceback tells whether an exception is ours (rheostat/recorder.py, is_ours).
"""

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any  # noqa: F401

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_START_PATH = (  # in an order in which each finds what it imports; packages end in a slash
    "/ settings codeobjects placeholders shapes masking spool/ spool/layout spool/events spool/segment recorder activations "
    "errors image selection cache threads modules hook mainmodule startup"
).split()
_SEALED = ("recorder", "activations", "threads", "startup", "capture")


def _start(run):
    # type: (str) -> None
    if os.getuid() != os.geteuid() or os.getgid() != os.getegid():
        return  # the program runs with the rights of another user: leave it alone
    if os.stat(run).st_uid != os.geteuid():
        return
    if not _is_supported():
        version = "Python " + sys.version.split()[0]
        _tell(run, 6, ("process", "process %d" % os.getpid(), version + " is not supported"))
        return
    if not _is_main_interpreter():
        _find_folder_of_script()
        _tell(run, 6, ("process", "process %d" % os.getpid(), "a sub-interpreter is not observed"))
        return
    if not _has_room():
        why = "its limit on address space is tight"
        _tell(run, 6, ("process", "process %d" % os.getpid(), why))
        return
    if time.monotonic() < 0:  # no kernel's is; a preloaded library may fake one
        why = "its monotonic clock is below zero"
        _tell(run, 6, ("process", "process %d" % os.getpid(), why))
        return
    with open(run + "/settings", "rb", buffering=0) as file:
        data = file.read()
    with_user, sys.path[:] = sys.path[:], _standard_path()
    known = set(sys.modules)
    try:
        _load_all(run, data)
    finally:
        sys.path[:] = with_user
        # (A spawned child of multiprocessing keeps runpy, in which mainmodule.py waits, and what that imports.)
        for name in set(sys.modules) - known if "runpy" not in sys.modules else ():
            # A module of the program may bear the name of one that we imported, `resource` say. (Codecs are kept by
            # the interpreter: it would not import theirs again.)
            kept = name.startswith(("rheostat", "_", "encodings."))
            if not kept and name not in sys.builtin_module_names:
                del sys.modules[name]


def _standard_path():
    # type: () -> list[str]
    """Return the entries of `sys.path` that hold the standard library alone."""
    own = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    prefixes = (sys.base_prefix + "/", sys.base_exec_prefix + "/")
    return [
        entry
        for entry in sys.path
        if entry.startswith(prefixes) and "-packages" not in entry and entry not in own
    ]


def _load_all(run, data):
    # type: (str, bytes) -> None
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    cache = [line[16:] for line in lines if line.startswith("cache_directory=")]
    more = ["capture"] if "capture_args=True" in lines else []
    for name, code in _compiled(cache[0] if cache else "", more):
        _load(name, code)
    settings = sys.modules["rheostat.settings"].read_settings(data)
    sys.modules["rheostat.startup"].start(run, settings)


def _is_supported():
    # type: () -> bool
    free_threaded = "t" in getattr(sys, "abiflags", "")
    name = getattr(getattr(sys, "implementation", None), "name", "")
    return name == "cpython" and (3, 11) <= sys.version_info[:2] <= (3, 13) and not free_threaded


def _has_room():
    # type: () -> bool
    """Say whether a limit on address space is so wide that the program cannot miss the few MiB that we take of it."""
    with open("/proc/self/limits", "rb", buffering=0) as file:
        limits = file.read()
    limit = limits.partition(b"Max address space")[2].split(None, 1)[0]
    if limit == b"unlimited":
        return True
    with open("/proc/self/statm", "rb", buffering=0) as file:
        pages = int(file.read().split()[0])
    return int(limit) - pages * os.sysconf("SC_PAGESIZE") > 256 << 20


def _is_main_interpreter():
    # type: () -> bool
    """Say so by the one thing that only the main interpreter may do, and that changes nothing this early."""
    import _signal  # type: ignore[import-not-found]

    try:
        descriptor = _signal.set_wakeup_fd(-1)
    except ValueError:
        return False
    if descriptor != -1:
        _signal.set_wakeup_fd(descriptor)
    return True


def _find_folder_of_script():
    # type: () -> None
    """Let a sub-interpreter import what lies beside the script.

    From 3.12.1 CPython begins its `sys.path` as it believes that it began the main interpreter's: with the path that our
    hook claimed there (rheostat/mainmodule.py), the script's own, and only after this. The first search in it puts its
    folder there.
    """
    script = os.path.abspath(sys.argv[0])

    def hook(path):
        # type: (str) -> Any
        if path != script or not os.path.isfile(path):
            raise ImportError(path)
        sys.path_hooks.remove(hook)
        folder = os.path.dirname(os.path.realpath(path))
        sys.path[:] = [folder if entry == path else entry for entry in sys.path]
        return sys.path_hooks[-1](folder)

    sys.path_hooks.append(hook)


def _file(name):
    # type: (str) -> str
    return _PACKAGE + "/" + name + ("__init__.py" if name.endswith("/") else ".py")


def _compiled(cache, more):
    # type: (str, list[str]) -> Any
    """Return [(name, code)] of the start-up path and *more* modules, from the cache if it is current."""
    import marshal
    from _frozen_importlib_external import MAGIC_NUMBER

    stamps = []
    for name in _START_PATH + more:
        status = os.stat(_file(name))
        stamps.append((name, status.st_mtime_ns, status.st_size))
    key = repr((_PACKAGE, MAGIC_NUMBER, sys.flags.optimize, stamps))
    parts = [sys.implementation.cache_tag, str(sys.flags.optimize)]
    path = "%s/bootstrap-%s" % (cache, "-".join(parts + more))
    try:
        owner = os.stat(cache)
        if owner.st_uid == os.geteuid() and not owner.st_mode & 0o022:
            with open(path, "rb", buffering=0) as file:
                kept = marshal.loads(file.read())
            if kept[0] == key:
                return kept[1]
    except (OSError, EOFError, ValueError, TypeError, LookupError):
        pass  # as good as none
    modules = _compile(more)
    _keep(cache, path, marshal.dumps((key, modules)))
    return modules


def _compile(more):
    # type: (list[str]) -> Any
    """Compile and seal the start-up path and *more* modules."""
    modules = []
    seal = None  # type: Any
    for name in _START_PATH + more:
        with open(_file(name), "rb", buffering=0) as file:
            source = file.read()
        code = compile(
            source, "<rheostat %s>" % (name.strip("/") or "rheostat"), "exec", dont_inherit=True
        )
        if name == "codeobjects":
            namespace = {"__name__": "rheostat.codeobjects"}  # type: Any
            exec(code, namespace)
            seal = namespace["seal_all"]
        if name in _SEALED:
            code = seal(code)
        modules.append((name, code))
    return modules


def _keep(cache, path, data):
    # type: (str, str, bytes) -> None
    beside = "%s.%d" % (path, os.getpid())
    try:
        os.makedirs(cache, 0o700, exist_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            whole = os.write(descriptor, data) == len(data)
        finally:
            os.close(descriptor)
        os.replace(beside, path) if whole else os.unlink(beside)
    except OSError:
        pass  # the next start compiles again


def _load(name, code):
    # type: (str, Any) -> None
    """Execute one module of the package and put it where an import would."""
    parent, _, last = ("rheostat/" + name).rstrip("/").replace("/", ".").rpartition(".")
    full = parent + "." + last if parent else last
    module = type(sys)(full)  # type: Any
    module.__file__ = _file(name)
    module.__package__ = full if name.endswith("/") else parent
    if name.endswith("/"):
        module.__path__ = [_PACKAGE + "/" + name.rstrip("/") if name != "/" else _PACKAGE]
    sys.modules[full] = module
    exec(code, module.__dict__)
    if parent:
        setattr(sys.modules[parent], last, module)


def _fail(run, error):
    # type: (str, Exception) -> None
    """Leave the reason in the spool; without it, the program runs as it would without us."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "rheostat"]:
        if "rheostat.image" not in sys.modules or sys.modules["rheostat.image"].current() is None:
            del sys.modules[name]
    _tell(
        run,
        7,
        (
            "error",
            "process %d is not observed: %s: %s" % (os.getpid(), type(error).__name__, error),
        ),
    )


def _tell(run, kind, texts):
    # type: (str, int, Any) -> None
    """Write one frame of the spool's events (rheostat/spool/events.py), in any Python."""
    import struct

    data = [text.encode("utf-8", "replace") for text in texts]
    body = b"".join(struct.pack("<cI", b"s", len(text)) + text for text in data)
    frame = struct.pack("<IB", len(body) + 1, kind) + body
    base = 1 << 61 | os.getpid() << 24 | int(time.time() * 1000) & 0xFFFFFF
    name = "%016x-0.events" % base
    try:
        descriptor = os.open(run + "/spool/" + name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, frame)
        finally:
            os.close(descriptor)
    except OSError:
        pass  # there is nowhere left to say it


_here = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [entry for entry in sys.path if entry != _here]
sys.path_importer_cache.pop(_here, None)
_run = os.environ.get("RHEOSTAT_RUN", "")
if _run and os.environ.get("RHEOSTAT_DISABLED", "").lower() != "true":
    try:
        _start(_run)
    except Exception as _error:
        try:
            _fail(_run, _error)
        except Exception:
            pass
sys.modules.pop("sitecustomize", None)
import sitecustomize  # type: ignore[import-not-found]  # noqa: F401  # the user's own; its absence is for `site` to see
