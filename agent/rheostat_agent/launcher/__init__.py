"""The program's parent: finds what to run, starts it, follows its stops and its end, and ends as it ended.

target.resolve → signals.hold → child.start → child.follow → child.end_as. Everything here is on the start-up path of
`rheostat run`: nothing is imported that a bare interpreter has not loaded already, and nothing is printed.
"""
