"""Which attributes are tags of a GeoTIFF, and which are not."""

from __future__ import annotations

import re

from .names import PACKING

UNPACKED = ("_FillValue", *PACKING)
OF_ALL = re.compile(
    "sensor|Conventions|passes|aleatoric|(fusion|mask|calibration|time_coverage)_.*"
)  # tags of the Dataset
