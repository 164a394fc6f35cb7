"""Builds a small C extension module with gcc and the headers of an interpreter."""

import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = r"""
#define PY_SSIZE_T_CLEAN
#include <Python.h>

static PyObject *twice(PyObject *self, PyObject *number) { return PyNumber_Add(number, number); }

static PyMethodDef methods[] = {{"twice", twice, METH_O, "Twice the number."}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "@name@", NULL, -1, methods};

PyMODINIT_FUNC PyInit_@name@(void)
{
    if (PyRun_SimpleString("import beside") < 0)
        return NULL;
    return PyObject_CallMethod(PyImport_ImportModule("beside"), "made", NULL)
        ? PyModule_Create(&definition) : NULL;
}
"""
BESIDE = "def made():\n    return True\n"  # what the extension module calls while it is made


def build_extension(folder: Path, name: str, python: str) -> Path:
    """Build the module *name* in *folder*, with a function `twice`; it calls `beside.made` while it is made."""
    if shutil.which("gcc") is None:
        pytest.skip("no gcc to build a C extension with")
    script = "import sysconfig as s; print(s.get_path('include'), s.get_config_var('EXT_SUFFIX'))"
    told = subprocess.run([python, "-c", script], capture_output=True, text=True, check=True)
    include, suffix = told.stdout.split()
    if not (Path(include) / "Python.h").exists():
        pytest.skip(f"no headers of {python}")
    folder.mkdir(parents=True, exist_ok=True)
    source, module = folder / f"{name}.c", folder / f"{name}{suffix}"
    source.write_text(SOURCE.replace("@name@", name))
    command = ["gcc", "-shared", "-fPIC", f"-I{include}", str(source), "-o", str(module)]
    subprocess.run(command, check=True, timeout=120)
    source.unlink()
    return module
