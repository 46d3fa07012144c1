"""The configuration: what its keys are, what may be built from it, what cannot go together, and what --help says."""
