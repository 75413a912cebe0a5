"""Quality bands of other sensors become flags, bit by bit or value by value."""

from typing import Any

import numpy as np
import pytest
import rioxarray  # noqa: F401  # registers .rio
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import xfusion as xf
from tests.laziness import nothing_computes


@given(
    st.sampled_from([np.uint8, np.uint16, np.int16, np.uint32, np.int64]),
    st.lists(st.integers(0, 7), max_size=4),
    st.lists(st.integers(0, 7), max_size=4),
    st.integers(0, 2**16),
)
def test_bits_are_those_of_the_number(
    dtype: Any, cloud: list[int], shadow: list[int], seed: int
) -> None:
    info = np.iinfo(dtype)
    rng = np.random.default_rng(seed)
    numbers = rng.integers(info.min, info.max, (4, 5), dtype=dtype, endpoint=True)
    found = xf.flags(xr.DataArray(numbers, dims=("y", "x")), cloud=cloud, shadow=shadow)
    assert found.dtype == np.uint8
    for place in np.ndindex(numbers.shape):
        binary = format(int(numbers[place]) % 2**info.bits, f"0{info.bits}b")[::-1]
        expected = xf.Exclusion(0)
        if any(binary[bit] == "1" for bit in cloud):
            expected |= xf.Exclusion.CLOUD
        if any(binary[bit] == "1" for bit in shadow):
            expected |= xf.Exclusion.SHADOW
        assert found.values[place] == expected


def test_classes_are_read_by_value_and_nodata_is_unknown() -> None:
    # Fmask: 0 land, 1 water, 2 shadow, 3 snow, 4 cloud, 255 fill
    qa = xr.DataArray(np.array([[0, 1, 2, 3, 4, 255]], np.uint8), dims=("y", "x"))
    qa.attrs["_FillValue"] = 255
    found = xf.flags(qa, by="value", shadow=2, cloud=[4], user=3)
    assert found.values.tolist() == [[0, 0, 2, 128, 1, 32]]
    with nothing_computes():
        lazy = xf.flags(qa.chunk(), by="value", shadow=2, cloud=[4], user=3)
    np.testing.assert_array_equal(lazy, found)
    water = xf.retrieval(qa * 0.1, 0.1, found)
    assert water.fusion.usable.values.tolist() == [[True, True, False, False, False, False]]


@pytest.mark.parametrize(
    ("qa", "options", "error", "message"),
    [
        (np.uint8, {"clouds": 1}, TypeError, "no flag 'clouds'.*'cloud'"),
        (np.uint8, {"cloud": 8}, ValueError, "no bit 8: it has 0 to 7"),
        (np.uint8, {"cloud": 256, "by": "value"}, ValueError, "no value 256"),
        (np.float32, {"cloud": 1}, ValueError, "float32, not a DataArray of integers.*masked"),
        (np.uint8, {"cloud": "1"}, ValueError, "whole number"),
    ],
)
def test_what_cannot_be_a_flag_is_told(
    qa: Any, options: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        xf.flags(xr.DataArray(np.zeros((1, 2), qa), dims=("y", "x")), **options)


def test_a_quality_band_that_is_no_mask_is_led_to_its_meaning() -> None:
    qa = np.zeros((1, 2), np.uint16)
    with pytest.raises(ValueError, match=r"mask is uint16.*xf\.flags\(qa, cloud="):
        xf.retrieval(np.ones((1, 2)), 0.1, qa)
    with pytest.raises(TypeError, match=r"qa is a ndarray: say where it lies"):
        xf.flags(qa, cloud=3)  # type: ignore[arg-type]


def test_flags_stay_where_their_band_lies() -> None:
    qa = xr.DataArray(np.zeros((2, 3), np.uint16), dims=("y", "x"))
    qa = qa.assign_coords(y=[5000015.0, 5000005.0], x=[500005.0, 500015.0, 500025.0])
    qa = qa.rio.write_crs("EPSG:32633")
    for found in (xf.flags(qa, cloud=3), xf.flags(qa, cloud=3).fusion.merge_mask(xf.flags(qa))):
        assert found.rio.crs == qa.rio.crs
