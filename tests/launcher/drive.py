"""The launcher alone, without agent or run directory: as fast as it gets, for what is tried for every signal."""

import os
import sys

from rheostat_agent import streams
from rheostat_agent.launcher import child, environment, signals, target

streams.plug()
held = signals.hold()
what = target.resolve(sys.argv[1:], None, os.environ, os.getcwd())
child.end_as(child.follow(child.start(what, environment.inherited_environment(), held)))
