"""Who computes, where the results go in memory, and how far it is."""
