"""TUNA's claims in miniature, in the drawn world: `python -m benchmarks.study`."""
