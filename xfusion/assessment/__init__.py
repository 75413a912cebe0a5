"""What numbers are worth: scores, calibration, error correlation, area, collocation."""
