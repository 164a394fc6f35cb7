"""The descriptors that the launcher shares with the program."""

import os


def plug() -> None:
    """Open /dev/null for the launcher where it was started without a standard stream, before anything else is opened.

    Otherwise the next file that we open would be standard error. The program does not inherit it.
    """
    try:
        descriptor = 0
        while descriptor <= 2:  # the lowest number that is free
            descriptor = os.open(os.devnull, os.O_RDWR)
    except OSError:  # a root directory without /dev
        return
    os.close(descriptor)


def let_go() -> None:
    """Close what the program was given, but for standard error: who is at the other end waits for its end, not ours.

    What the launcher itself opened is not inheritable, which tells the two apart.
    """
    try:
        null = os.open(os.devnull, os.O_RDWR)
        inherited = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:  # a root directory without /dev or /proc
        return
    for descriptor in inherited:
        try:
            if descriptor == 2 or not os.get_inheritable(descriptor):
                continue
        except OSError:  # that of the listing itself
            continue
        if descriptor < 2:
            os.dup2(null, descriptor)
        else:
            os.close(descriptor)
    os.close(null)
