"""Parameters of water by thresholds, those of others where there are, with a spread of ours."""

from __future__ import annotations

from . import water_parameters as made
from .water_parameters import WaterParameters

_VH = WaterParameters.from_threshold(
    made.VH,
    -22.0,
    scale=-1.5,
    threshold_sigma=1.0,
    scale_sigma=0.5,
    source="VH below -22 dB: ours",
)
#: water where VV is below -15.5 +- 1 dB
VV = WaterParameters.from_threshold(
    made.VV,
    -15.5,
    scale=-1.5,
    threshold_sigma=1.0,
    scale_sigma=0.5,
    source="VV below -15.5 dB: ours, water being at -16 to -22 dB",
)
#: the mean of the log odds by VV and by VH
VV_VH = made.mean_of([VV, _VH], f"{VV.source}; {_VH.source}")
#: water where MNDWI is above 0 +- 0.1
MNDWI = WaterParameters.from_threshold(
    made.MNDWI,
    0.0,
    scale=0.1,
    threshold_sigma=0.1,
    scale_sigma=0.03,
    source="MNDWI above 0: Xu 2006",
)
#: water where NDWI is above 0 +- 0.1
NDWI = WaterParameters.from_threshold(
    made.NDWI,
    0.0,
    scale=0.1,
    threshold_sigma=0.1,
    scale_sigma=0.03,
    source="NDWI above 0: McFeeters 1996",
)
#: the mean of the log odds by MNDWI and by NDWI
MNDWI_NDWI = made.mean_of([MNDWI, NDWI], f"{MNDWI.source}; {NDWI.source}")
PUBLISHED = {each.features: each for each in (VV, VV_VH, MNDWI, NDWI, MNDWI_NDWI)}
