"""What a retrieval is: names, flags, validation, CF, grid, units, provenance."""
