"""The agent and the command line: everything that does not run inside the observed program."""
