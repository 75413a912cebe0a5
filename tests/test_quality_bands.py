"""Quality bands of other sensors become flags, bit by bit or value by value."""

from typing import Any

import numpy as np
import pystac
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
        (np.uint8, {"cloud": "1"}, ValueError, "name of no bits .*give numbers"),
        (np.uint8, {"cloud": 1.0}, ValueError, "whole number"),
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
        xf.flags(qa, cloud=3)  # type: ignore[arg-type]  # on purpose


def test_flags_stay_where_their_band_lies() -> None:
    qa = xr.DataArray(np.zeros((2, 3), np.uint16), dims=("y", "x"))
    qa = qa.assign_coords(y=[5000015.0, 5000005.0], x=[500005.0, 500015.0, 500025.0])
    qa = qa.rio.write_crs("EPSG:32633")
    for found in (xf.flags(qa, cloud=3), xf.flags(qa, cloud=3).fusion.merge_mask(xf.flags(qa))):
        assert found.rio.crs == qa.rio.crs


def landsat() -> list[dict[str, Any]]:
    """The bit fields of QA_PIXEL, as items of Landsat Collection 2 have them."""
    single = ["fill", "dilated_cloud", "cirrus", "cloud", "cloud_shadow", "snow", "clear", "water"]
    levels = ["not_set", "low", "medium", "high"]
    fields = [
        {
            "name": name,
            "offset": bit,
            "length": 1,
            "classes": [{"name": f"not_{name}", "value": 0}, {"name": name, "value": 1}],
        }
        for bit, name in enumerate(single)
    ]
    for place, name in enumerate(["cloud", "cloud_shadow", "snow", "cirrus"]):
        classes = [{"name": level, "value": k} for k, level in enumerate(levels)]
        offset = 8 + 2 * place
        confidence = {"name": f"{name}_confidence", "offset": offset, "length": 2}
        fields.append({**confidence, "classes": classes})
    return fields


@pytest.mark.parametrize("form", ["list", "asset", "json", "band", "attributes"])
@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.uint32])
def test_bits_are_named_as_an_item_names_them(form: str, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 2**16, (20, 30)).astype(np.uint16)
    qa = xr.DataArray(numbers.astype(dtype), dims=("y", "x"))
    stated = {"classification:bitfields": landsat()}
    forms: dict[str, Any] = {
        "list": landsat(),
        "asset": pystac.Asset("qa.tif", extra_fields=stated),
        "json": {"href": "qa.tif", **stated},
        "band": {"href": "qa.tif", "bands": [stated]},
        "attributes": None,
    }
    qa.attrs = stated if form == "attributes" else {}
    reasons: dict[str, Any] = {
        "cloud": ["cloud", "cirrus_confidence:high", 1],
        "shadow": "cloud_shadow_confidence:medium",
        "user": "snow:not_snow",
        "unknown": "fill",
    }
    found = xf.flags(qa, fields=forms[form], **reasons).values
    n = numbers.astype(int)
    cloud = (n >> 3 & 1) | (n >> 14 == 3) | (n >> 1 & 1)
    expected = cloud * 1 + (n >> 10 & 3 == 2) * 2 + (1 - (n >> 5 & 1)) * 128 + (n & 1) * 32
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.uint8


def test_classes_are_named_as_an_item_names_them() -> None:
    classes = [{"value": 4, "name": "clear"}, {"value": 9, "name": "cloud"}]
    scl = xr.DataArray(np.array([4, 9, 0], np.uint8), dims="x")
    found = xf.flags(scl, by="value", fields=classes, cloud="cloud", unknown=0)
    assert found.values.tolist() == [0, 1, 32]


@pytest.mark.parametrize(
    ("fields", "cloud", "message"),
    [
        (None, "cloud", "nothing says what its numbers mean: give numbers, or .*fields=item"),
        (landsat(), "clouds", "'clouds' is none of .*did you mean 'cloud'"),
        (landsat(), "cloud_confidence", r"2 bits: name a value.*'cloud_confidence:high'"),
        (landsat(), "cloud_confidence:sure", "'sure' is none of .*'high'"),
        ([{"name": "cloud", "offset": 16, "length": 1}], "cloud", "uint16 and has no bit 16"),
        ([{"name": "cloud", "offset": 15, "length": 2}], "cloud:x", "'x' is the name of no bits"),
        ([{"name": "cloud", "offset": "3", "length": 1}], "cloud", "offset='3'.*correct the item"),
        ([{"name": "cloud", "offset": -1, "length": 1}], "cloud", "offset=-1"),
        ([{"name": "cloud", "offset": 0, "length": 0}], "cloud", "length=0"),
        ([{"name": "cloud", "offset": 0, "length": 10**9}], "cloud:a", "no bits or class"),
        (
            [{"name": "c", "offset": 0, "length": 2, "classes": [{"value": 4, "name": "x"}]}],
            "c:x",
            "value 4 of 2 bits",
        ),
        (
            [{"name": "c", "offset": 0, "length": 2, "classes": [{"value": "1", "name": "x"}]}],
            "c:x",
            "'x' with value='1'",
        ),
        ({"classification:bitfields": 7}, "cloud", "no bits or class"),
        ([7, None], "cloud", "no bits or class"),
    ],
)
def test_what_an_item_says_of_bits_is_used_as_it_is_or_refused(
    fields: Any, cloud: str, message: str
) -> None:
    qa = xr.DataArray(np.zeros((1, 1), np.uint16), dims=("y", "x"))
    with pytest.raises(ValueError, match=message):
        xf.flags(qa, fields=fields, cloud=cloud)
