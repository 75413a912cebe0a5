"""Retrievals through time: filter, smoother, today's map from yesterday's, onset and duration."""
