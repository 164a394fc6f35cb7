"""Descriptors: some are kept free, so that what is not the spool goes on working when a run has very many files.

A number is given out only if all below it are taken; so one that is near the limit says that few are left.
"""

import os
import resource

RESERVE = 64  # for the history, /proc and the backend


def keep_reserve(descriptor: int) -> int:
    """Return *descriptor*, which was just opened; close it and raise OSError (EMFILE) if it belongs to the reserve."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit != resource.RLIM_INFINITY and descriptor >= max(limit - RESERVE, limit // 2):
        os.close(descriptor)
        raise OSError(24, "few descriptors are left")
    return descriptor
