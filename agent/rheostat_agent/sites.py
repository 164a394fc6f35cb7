"""The sites of one process image: which function a record's site number means."""

from __future__ import annotations

from rheostat_agent.events import ModuleEvent

Site = tuple[str, int, str, int]  # qualified name, kind, file, line


class Sites:
    """The functions of the modules that an image has told of."""

    def __init__(self) -> None:
        self._modules: list[ModuleEvent] = []

    def add(self, module: ModuleEvent) -> None:
        """Know the functions of *module* from here on."""
        self._modules.append(module)

    def find(self, site: int) -> Site | None:
        """Return the function with the number *site*; None if its module is not known (yet)."""
        for module in reversed(self._modules):
            if module.first <= site < module.first + len(module.functions):
                kind, name, line = module.functions[site - module.first]
                return name, kind, module.file, line
        return None
