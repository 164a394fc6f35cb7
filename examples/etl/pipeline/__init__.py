"""The stages of the job, one module each."""
