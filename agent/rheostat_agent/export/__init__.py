"""Out of the history: to an OTLP backend (delivery.py), into files (files.py). Both go through spans.py."""
