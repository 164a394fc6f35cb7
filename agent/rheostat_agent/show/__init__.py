"""What the user sees of a run: the summary at its end, and `rheostat show`. Reads the history; writes nothing."""
