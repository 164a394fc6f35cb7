"""Imports that fail, in the project and outside: messages and tracebacks."""
import sys
import traceback

for name in ("does_not_exist", "broken_import", "raising_import", "circular_import"):
    try:
        __import__(name)
    except BaseException:
        traceback.print_exc()
print(sorted(name for name in sys.modules if name.endswith("_import")))
import raising_import
