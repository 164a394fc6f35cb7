"""Rules and the engine that judges them: the upper half of the dial.

Nothing is here yet but the boundary, which CI already checks: this package may import `rheostat` and is imported by
`rheostat_agent` alone. Rules, conditions and the pure engine arrive with the first rules file (docs/architecture.md).
"""
