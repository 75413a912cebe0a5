"""The number of each rule, by which a kernel knows its formula."""

GAUSSIAN, MIXTURE, RANDOM_EFFECTS, MINIMUM_SIGMA, LOG_ODDS = range(5)
