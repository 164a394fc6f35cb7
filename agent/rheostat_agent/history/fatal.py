"""The exception that ends a program is described twice: where it arose, and when it leaves `__main__`, by then with its text.

Here the two are known as one, so that it is told once.
"""

from __future__ import annotations

from rheostat_agent.history.query import Error


def is_fatal(error: Error) -> bool:
    """Say whether *error* is an exception that left the `__main__` of its process."""
    return error.span is None and error.number is not None


def origin_of(fatal: Error, errors: dict[int, Error]) -> Error | None:
    """Return the description of the exception *fatal* where it arose; None if that was in no recorded call."""
    found = None
    for error in errors.values():
        if error.id >= fatal.id:
            break
        if error.process == fatal.process and error.span is not None and _may_be(error, fatal):
            found = error
    return found


def _may_be(error: Error, fatal: Error) -> bool:
    return (
        error.type == fatal.type
        and error.stack[-1:] == fatal.stack[-1:]
        and error.message in (None, fatal.message)
    )


def distinct_errors(errors: dict[int, Error]) -> list[tuple[Error, bool]]:
    """Return *errors* with each exception once, and whether it ended its process; that has the text it had then."""
    result = {number: (error, is_fatal(error)) for number, error in errors.items()}
    for fatal in filter(is_fatal, errors.values()):
        origin = origin_of(fatal, errors)
        if origin is not None:
            del result[fatal.id]
            result[origin.id] = with_text_of(origin, fatal), True
    return list(result.values())


def with_text_of(origin: Error, fatal: Error) -> Error:
    """Return *origin* with the text of *fatal*, which is the same exception."""
    return Error(**{**origin.as_dict(), "message": fatal.message})
