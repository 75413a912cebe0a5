"""Exclusion rules on bands: every class, every limit."""

from collections.abc import Sequence

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
import xarray as xr
from hypothesis import given

from tests.laziness import nothing_computes
from xfusion import Exclusion

VALID = {4, 5, 6, 7, 11}


def bands(
    red: Sequence[float], nir: Sequence[float], scl: Sequence[float], dtype: str = "uint16"
) -> xr.Dataset:
    return xr.Dataset(
        {
            "red": ("x", np.array(red, dtype)),
            "nir": ("x", np.array(nir, dtype)),
            "scl": ("x", np.array(scl, "uint8" if np.isfinite(scl).all() else "float32")),
        }
    )


def test_every_scene_class_has_its_flag() -> None:
    classes = [*range(12), 12, 99, 255]
    flags = bands([100] * 15, [90] * 15, classes).fusion.s2_exclusion()
    expected = (
        [Exclusion.DEFECTIVE] * 2
        + [Exclusion.SHADOW] * 2
        + [0] * 4
        + [Exclusion.CLOUD] * 3
        + [0]
        + [Exclusion.UNKNOWN] * 3
    )
    assert flags.values.tolist() == [int(f) for f in expected]
    scl = xr.DataArray([*range(12), np.nan, 6.5, -1.0, 300.0], dims="x")
    assert scl.fusion.scl_validity().values.tolist() == [c in VALID for c in scl.values.tolist()]


def test_unsigned_bands_do_not_wrap() -> None:
    ds = bands([5000, 100], [100, 5000], [6, 6])
    np.testing.assert_allclose(ds.fusion.ndvi(), [-4900 / 5100, 4900 / 5100], rtol=1e-9)


def test_ndvi_at_the_limit_is_still_valid() -> None:
    # (8k - 2k) / 10k is exactly 0.6 but for the 1e-6 in the denominator
    limit = bands([2, 200, 2000, 1999], [8, 800, 8000, 8000], [6] * 4)
    assert limit.fusion.s2_validity().values.tolist() == [True, True, True, False]
    assert limit.fusion.s2_validity(ndvi_max=0.61).values.all()
    floats = limit.assign(red=limit.red.astype("float32"), nir=limit.nir.astype("float32"))
    assert floats.fusion.s2_validity()[2]


def test_missing_red_or_nir_is_defective_and_never_valid() -> None:
    flags = bands([0, 100, 0], [100, 0, 0], [6, 6, 6]).fusion.s2_exclusion()
    assert flags.values.tolist() == [int(Exclusion.DEFECTIVE)] * 3
    floats = bands([np.nan, 100], [100, np.nan], [6, 6], "float32")
    assert not floats.fusion.s2_validity().any()
    declared = bands([7, 0], [100, 100], [6, 6])
    declared.red.attrs["nodata"] = 7
    assert declared.fusion.s2_exclusion().values.tolist() == [8, 4]


def test_outside_the_scene_is_unknown_only() -> None:
    assert bands([0], [0], [255]).fusion.s2_exclusion().values.tolist() == [32]
    assert bands([0], [0], [np.nan]).fusion.s2_exclusion().values.tolist() == [32]


@given(
    hnp.arrays(np.uint16, 20),
    hnp.arrays(np.uint16, 20),
    hnp.arrays(np.uint8, 20, elements=st.integers(0, 13)),
    st.floats(-1, 1),
)
def test_validity_is_what_the_workflow_says(
    red: np.ndarray, nir: np.ndarray, scl: np.ndarray, ndvi_max: float
) -> None:
    ds = xr.Dataset({"red": ("x", red), "nir": ("x", nir), "scl": ("x", scl)})
    r, n = red.astype(float), nir.astype(float)
    ndvi = (n - r) / (n + r + 1e-6)
    expected = np.isin(scl, list(VALID)) & (ndvi <= ndvi_max) & (red > 0) & (nir > 0)
    valid = ds.fusion.s2_validity(ndvi_max=ndvi_max)
    np.testing.assert_array_equal(valid, expected)
    with nothing_computes():
        lazy = ds.chunk(x=7).fusion.s2_validity(ndvi_max=ndvi_max)
    np.testing.assert_array_equal(lazy, expected)
    exclusion = ds.fusion.s2_exclusion(ndvi_max=ndvi_max)
    np.testing.assert_array_equal(exclusion == 0, expected)


def test_gfm_is_valid_only_where_it_is_zero() -> None:
    gfm = xr.DataArray(np.array([0, 1, 255, 2], np.uint8), dims="x")
    assert gfm.fusion.gfm_validity().values.tolist() == [True, False, False, False]
    assert gfm.fusion.gfm_exclusion().values.tolist() == [0, 16, 32, 32]
    floats = xr.DataArray([0.0, 1.0, np.nan], dims="x")
    assert floats.fusion.gfm_validity().values.tolist() == [True, False, False]
    with nothing_computes():
        lazy = gfm.chunk(x=2).fusion.gfm_validity()
    assert lazy.compute().values.tolist() == [True, False, False, False]


def test_a_missing_band_is_named() -> None:
    with pytest.raises(ValueError, match=r"\['red'\] are missing.*rename"):
        xr.Dataset({"B04": ("x", [1]), "nir": ("x", [1])}).fusion.ndvi()


def test_an_acquisition_that_saw_the_pixel_speaks_for_one_that_did_not() -> None:
    from xfusion.masks.combining import combine_excluded, combine_usable

    a = xr.DataArray(np.array([0, 1, 32, 32, 1, 16], np.uint8), dims="x")
    b = xr.DataArray(np.array([1, 8, 1, 32, 32, 0], np.uint8), dims="x")
    assert combine_usable(a, b).values.tolist() == [0, 9, 1, 32, 1, 0]
    assert combine_excluded(a, b).values.tolist() == [1, 9, 1, 32, 1, 16]
