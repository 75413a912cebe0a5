"""Retrievals of several sensors become one: rules, alignment, conflict, masks at decision level."""
