"""Program text that acts at the k-th instruction that the recorder executes.

    strike_at(k, act, steps)    from here on; `act()` may raise or kill; where it struck is appended to *steps*
    stop()

By `sys.monitoring` where there is one (3.12), else by a trace function. Left out are the few kinds of instruction that
neither raise nor let a signal handler run, and instructions where an error of ours is being handled: there we make no call.
"""

STRIKES = '''
import os
import sys
from opcode import opname

HARMLESS = {"NOP", "LOAD_CONST", "LOAD_FAST", "JUMP_FORWARD", "POP_TOP", "RETURN_VALUE", "RETURN_CONST"}


def codes(values):
    """Yield all code of ours that runs in a call."""
    for value in values:
        if isinstance(value, type) and value.__module__.startswith("rheostat"):
            yield from codes(vars(value).values())
        code = getattr(value, "__code__", value)
        if type(code) is type(codes.__code__) and code.co_filename.startswith("<rheostat "):
            yield code
            yield from codes(code.co_consts)


def is_due(code, offset):
    if opname[code.co_code[offset]] in HARMLESS or sys.exc_info()[0] in (OSError, KeyError):
        return False
    due[0] -= 1
    return due[0] == 0


def strike(code, line):
    where.append(f"{code.co_qualname}:{line}")
    stop()
    action[0]()


due, where, action = [0], [], [None]
if sys.version_info >= (3, 12):
    monitoring = sys.monitoring
    monitoring.use_tool_id(4, "strikes")
    for name, module in list(sys.modules.items()):
        if name.startswith("rheostat"):
            for code in codes(vars(module).values()):
                monitoring.set_local_events(4, code, monitoring.events.INSTRUCTION)

    def handler(code, offset):
        if is_due(code, offset):
            strike(code, offset)

    def stop():
        monitoring.register_callback(4, monitoring.events.INSTRUCTION, None)

    def start():
        monitoring.register_callback(4, monitoring.events.INSTRUCTION, handler)
else:
    def handler(frame, event, argument):
        if event == "opcode" and is_due(frame.f_code, frame.f_lasti):
            strike(frame.f_code, frame.f_lineno)
        return handler

    def call(frame, event, argument):
        if not frame.f_code.co_filename.startswith("<rheostat "):
            return None
        frame.f_trace_opcodes = True
        return handler

    def stop():
        sys.settrace(None)

    def start():
        sys.settrace(call)


def strike_at(k, act, steps):
    global where
    due[0], where, action[0] = k, steps, act
    start()
'''
# Not observed: the tests' own functions.
OUTSIDE = (
    "*.codes",
    "*.is_due",
    "*.strike",
    "*.handler",
    "*.call",
    "*.stop",
    "*.start",
    "*.strike_at",
)
