"""faulthandler's dump, as text without addresses."""
import faulthandler
import sys


def low():
    faulthandler.dump_traceback(sys.stderr)


def high():
    low()


high()
