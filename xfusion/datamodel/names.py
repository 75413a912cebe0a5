"""The names of a retrieval's variables and attributes."""

from __future__ import annotations

SPAN = ("time_coverage_start", "time_coverage_end")

MU, SIGMA, MASK, SOURCE = "mu", "sigma", "mask", "source"
ALEATORIC = "aleatoric"  # the attribute that says that sigma holds that of a probability
THRESHOLD = "fusion_threshold"  # the attribute that says what `exceedance` is the probability of
PASSES = "passes"  # the attribute that says of how many samples mu is the mean
PREDICTED = "prediction_model"  # the attribute that names the model mu is from
EPISTEMIC_PART, ALEATORIC_PART = "sigma_epistemic", "sigma_aleatoric"
COUNT, CHI2, WEIGHT = "count", "chi2", "weight"
AGE = "age"  # of a state: days since a pixel was seen
DIFFERENCE, CONFLICT = "normalised_difference", "conflict"
BAND = "band"  # the dim that rioxarray gives the bands of a file
SPATIAL_REF = "spatial_ref"
CONVENTIONS = "CF-1.11"  # the newest that a checker can be had for
CALIBRATED, BASE_RATE = "calibration_method", "calibration_base_rate"  # attributes
READ_FAILED = "read_failed"  # beside bands: where they could not be read
NODATA = ("_FillValue", "missing_value", "nodata")
PACKING = ("scale_factor", "add_offset")
