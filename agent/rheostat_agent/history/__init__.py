"""The history: one SQLite file a run, and a small index over all runs. schema.py describes both."""
