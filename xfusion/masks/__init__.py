"""From a cloud to a flag: the recipe of a sensor's mask, its passes, its bands, its exclusion."""
