"""One adapter for each peer: ``add`` and ``search``, nothing else. Each runs under its own Python (see serve.py)."""
