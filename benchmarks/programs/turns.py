"""Starts `python main.py` as the environment has it (observed) and without what observes it, by turns; copied into the project.

Arguments: the interpreter and the number of rounds. Prints {"plain": [[seconds, of which the processor worked], …],
"observed": …}.
"""

import json
import os
import sys
from time import perf_counter


def seconds(environment):
    """Return how long `python main.py` takes in *environment*, by clock and processor. Raises RuntimeError if it fails."""
    started = perf_counter()
    process = os.posix_spawn(sys.argv[1], [sys.argv[1], "main.py"], environment)
    _, status, usage = os.wait4(process, 0)
    if status != 0:
        raise RuntimeError(f"main.py ended with status {status}")
    return perf_counter() - started, usage.ru_utime + usage.ru_stime


observed = dict(os.environ)
plain = {
    name: value for name, value in observed.items() if name not in ("PYTHONPATH", "RHEOSTAT_RUN")
}
if plain == observed:
    raise RuntimeError("nobody observes us")
found = {"plain": [], "observed": []}
for number in range(-1, int(sys.argv[2])):
    for name, environment in (("plain", plain), ("observed", observed))[:: -1 if number % 2 else 1]:
        value = seconds(environment)
        if number >= 0:  # the first round fills the caches
            found[name].append(value)
print(json.dumps(found))
