"""Retrievals from bands: by a network or any callable, or by logistic functions of an index."""
