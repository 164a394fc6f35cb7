"""Rheostat inside the observed process: the recorder, and what puts it around functions. Standard library only."""

__version__ = "0.1.0"


def bootstrap_directory() -> str:
    """Return the directory that the launcher puts in front of PYTHONPATH; it holds `sitecustomize.py` alone."""
    return __path__[0] + "/bootstrap"
