"""Values: classes of named fields, written like dataclasses.

Not dataclasses: importing that module and decorating thirty classes takes 20 ms, a third of what the user of a short script
waits for the agent's first word (docs/performance.md, hello world).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar, dataclass_transform
else:

    def dataclass_transform():  # what type checkers know stands above
        """Return a decorator that changes nothing."""
        return lambda kind: kind


@dataclass_transform()
class Value:
    """The base of a value: its annotations are its fields, in their order; a default stands behind the sign."""

    if TYPE_CHECKING:
        fields: ClassVar[tuple[str, ...]]
    else:
        fields = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.fields = (*cls.fields, *cls.__dict__.get("__annotations__", ()))  # noqa: RUF063  # inspect is what we avoid

    def __init__(self, *values: Any, **named: Any) -> None:
        if len(values) > len(self.fields) or not named.keys() <= set(self.fields):
            raise TypeError(f"{type(self).__name__} has the fields {', '.join(self.fields)}")
        self.__dict__.update(zip(self.fields, values, strict=False), **named)

    def as_tuple(self) -> tuple[Any, ...]:
        """Return the values in the order of the fields."""
        return tuple(getattr(self, name) for name in self.fields)

    def as_dict(self) -> dict[str, Any]:
        """Return the values by the names of the fields."""
        return {name: getattr(self, name) for name in self.fields}

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.as_tuple() == other.as_tuple()

    def __hash__(self) -> int:
        return hash(self.as_tuple())

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.fields)
        return f"{type(self).__name__}({shown})"
