"""What Rheostat costs, beside its peers on the same machine in the same run: `python -m benchmarks`.

Each module here measures one thing and returns a `Result`; __main__.py chooses, prints and keeps them. A peer runs in a
virtual environment of its own (peers.py), in the configuration that its manual gives for production, and sends to the
same sink on this machine (sink.py). The measured programs are in programs/; they run in the peers' environments.
Nothing here asserts a time: figures are printed, and kept in docs/performance.md.
"""
