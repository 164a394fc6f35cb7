import os
import sys

from rheostat_agent.launcher import child, environment, signals, target

held = signals.hold()
try:
    what = target.resolve(sys.argv[1:], None, os.environ, os.getcwd())
    pid = child.start(what, environment.inherited_environment(), held)
except target.TargetError as error:
    print(error.message, file=sys.stderr)
    sys.exit(error.status)
child.end_as(child.follow(pid))
