"""Benchmarks: ratios measured side by side in one run, on this machine.

``make bench`` runs them all, ``make bench ARGS=fusion`` one. Each has a function `main` that
returns its tables (`tables.py`); they are printed, written as JSON (`results.py`) and, with
``--keep``, shown in the docs (`page.py`).
"""
