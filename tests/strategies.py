"""Retrievals as hypothesis strategies: arrays that hold everything a pixel can be."""

from typing import Any

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import xarray as xr
from hypothesis.strategies import DrawFn
from numpy.typing import NDArray

import xfusion as xf

FLAGS = [0, 0, 0, 1, 4, 16, 33, 128]


def means(dtype: Any) -> st.SearchStrategy[float]:
    sane = st.floats(-1e3, 1e3, width=32)
    return st.one_of(sane, sane, sane, st.sampled_from([np.nan, np.inf, -np.inf, 0.0]))


def deviations(*, broken: bool = True) -> st.SearchStrategy[float]:
    sane = st.floats(np.float32(1e-5).item(), 1e3, width=32)
    kinds = [sane, sane, sane, st.just(0.0)]
    return (
        st.one_of(*kinds, st.sampled_from([np.nan, np.inf, -np.inf, -9999.0, -0.5]))
        if broken
        else st.one_of(*kinds)
    )


@st.composite
def arrays(draw: DrawFn, shape: tuple[int, ...], dtype: Any, elements: Any) -> NDArray[Any]:
    return draw(hnp.arrays(dtype, shape, elements=elements, fill=st.nothing()))


@st.composite
def retrievals(
    draw: DrawFn,
    *,
    count: int = 2,
    dtypes: Any = (np.float32, np.float64),
    broken_sigma: bool = True,
    min_side: int = 1,
) -> list[xr.Dataset]:
    """Retrievals of one shape, each with or without a mask."""
    shape = draw(st.tuples(*[st.integers(min_side, 6)] * 2))
    result = []
    for i in range(count):
        dtype = draw(st.sampled_from(dtypes))
        mask = draw(st.none() | hnp.arrays(np.uint8, shape, elements=st.sampled_from(FLAGS)))
        result.append(
            xf.retrieval(
                draw(arrays(shape, dtype, means(dtype))),
                draw(arrays(shape, dtype, deviations(broken=broken_sigma))),
                mask,
                sensor=f"sensor-{i}",
            )
        )
    return result


@st.composite
def chunked(draw: DrawFn, dataset: xr.Dataset) -> xr.Dataset:
    """The same retrieval in random blocks."""
    return dataset.chunk({dim: draw(st.integers(1, size)) for dim, size in dataset.sizes.items()})
