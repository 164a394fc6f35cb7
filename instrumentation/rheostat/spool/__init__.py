"""The on-disk contract between an observed process and the agent: no other package knows an offset."""
