"""A retrieval comes onto another grid, block by block."""
