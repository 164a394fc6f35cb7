"""Ctrl-C: the traceback, and the death by SIGINT."""
import os
import signal


def main():
    wait()


def wait():
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(10000000):
        pass


main()
