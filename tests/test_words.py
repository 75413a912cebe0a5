"""What is said where a name, an option or a place is wrong: what is meant, and the mend."""

import ast
import pickle
import re
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rioxarray  # noqa: F401  # registers .rio
import xarray as xr
from click.testing import CliRunner
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_zeros

import xfusion as xf
from xfusion.cli import main
from xfusion.wording import in_words_of_the_command, of_sensor


def one() -> xr.Dataset:
    pixels = np.arange(6.0).reshape(2, 3) + 1
    return xf.retrieval(pixels, pixels, sensor="radar")


# Names


@pytest.mark.parametrize(
    ("of", "name", "said"),
    [
        ("dataset", "gausian", "Dataset.fusion has no 'gausian'; did you mean 'gaussian'?"),
        ("dataset", "usabel", "did you mean 'usable'?"),
        ("dataset", "from_samples", "it is da.fusion.from_samples"),
        ("dataset", "isel", "it is ds.fusion.product.isel"),
        ("array", "from_sample", "DataArray.fusion has no .* did you mean 'from_samples'?"),
        ("array", "gaussian", "it is ds.fusion.gaussian"),
        ("product", "coregistre", "Sentinel1Product has no .* did you mean 'coregister'?"),
        ("product", "ndvi", "it is product.dataset.fusion.ndvi"),
        ("product", "mean", "it is product.dataset.mean"),
    ],
)
def test_an_unknown_name_suggests_what_is_meant(of: str, name: str, said: str) -> None:
    things = {
        "dataset": one().fusion,
        "array": one().mu.fusion,
        "product": xf.Sentinel1Product(dataset=one()),
    }
    with pytest.raises(AttributeError, match=said.replace("?", r"\?")) as caught:
        getattr(things[of], name)
    shown = "".join(traceback.format_exception_only(caught.value))
    assert shown.lower().count("did you mean") <= 1  # Python adds its own


def test_a_name_that_is_like_none_is_no_riddle() -> None:
    with pytest.raises(AttributeError, match="Dataset.fusion has no 'xyzzy'$"):
        _ = one().fusion.xyzzy
    assert not hasattr(one().fusion, "_repr_png_")


@pytest.mark.parametrize("of", ["accessor", "product"])
def test_an_unknown_option_suggests_what_is_meant(of: str) -> None:
    thing = one().fusion if of == "accessor" else one().fusion.product
    with pytest.raises(TypeError, match="gaussian has no option 'corelation'; did you mean 'corr"):
        thing.gaussian(one(), corelation=0.5)
    with pytest.raises(TypeError, match="exclude has no option 'xyzzy': it has excluded, flag"):
        thing.exclude(one().mu > 1, xyzzy=1)


def test_products_are_selected_from_as_datasets_are() -> None:
    product = xf.Sentinel1Product(dataset=one())
    selected = product.isel(x=slice(2))
    assert type(selected) is xf.Sentinel1Product
    xr.testing.assert_identical(selected.dataset, product.dataset.isel(x=slice(2)))
    assert product.isel({"x": 0}, drop=True).mu.dims == ("y",)
    series = xf.Sentinel1Product(dataset=one().expand_dims(time=[2020, 2021]))
    assert type(series.sel(time=2021)) is xf.Sentinel1Product
    assert int(series.sel(time=2022, method="nearest").dataset.time) == 2021


def test_brackets_of_a_product_are_those_of_its_dataset() -> None:
    product = xf.Sentinel1Product(dataset=one())
    xr.testing.assert_identical(product["mu"], product.mu)
    assert type(product[{"x": slice(1)}]) is xf.Sentinel1Product
    assert product[{"x": slice(1)}].mu.shape == (2, 1)
    assert type(product[["mu", "sigma"]]) is xf.Sentinel1Product
    with pytest.raises(KeyError, match="No variable named 'mask'"):
        _ = product["mask"]
    with pytest.raises(ValueError, match=r"lacks \['sigma'\]"):
        _ = product[["mu"]]
    assert "mu" in product
    assert "mask" not in product
    assert list(product) == ["mu", "sigma"]
    assert pickle.loads(pickle.dumps(product)).mu.shape == (2, 3)


# Places

GRIDS = "grid", "own grid"


@pytest.mark.parametrize("call", ["mask", "cogs", "coregister", *GRIDS, "area", "errors", "zones"])
def test_a_local_crs_is_named_where_a_place_on_the_earth_is_needed(
    call: str, tmp_path: Path
) -> None:
    site = one().assign_coords(y=[10.0, 0.0], x=[0.0, 10.0, 20.0], time=pd.Timestamp("2023-06-20"))
    site = site.rio.write_crs('LOCAL_CS["a building site",UNIT["metre",1]]')
    reference = site.mu * 0 + np.array([0.0, 1.0, 1.0])
    there = GeoBox.from_bbox((16, 48, 17, 49), "EPSG:4326", resolution=0.1)
    box = {"type": "Polygon", "coordinates": [[[16, 48], [17, 48], [17, 49], [16, 48]]]}
    calls: dict[str, Callable[[], object]] = {
        "mask": lambda: site.fusion.attach_s2_mask(catalog=str(tmp_path / "none.json")),
        "cogs": lambda: site.fusion.to_cog(tmp_path / "out"),
        "coregister": lambda: site.fusion.coregister("EPSG:4326", resolution=1e-4),
        "grid": lambda: xf.common_grid(there, site),
        "own grid": lambda: xf.common_grid(site, there),
        "area": site.fusion.area,
        "errors": lambda: xf.error_correlation(site, reference),
        "zones": lambda: site.fusion.area(zones=box),
    }
    with pytest.raises(ValueError, match=r"CRS 'a building site' .* \.rio\.write_crs\('EPSG:"):
        calls[call]()
    assert not list(tmp_path.iterdir())
    # what needs none; the labels have units, as odc-geo gives them
    site = site.assign_coords(x=site.x.assign_attrs(units="metre"))
    site.fusion.gaussian(site).fusion.to_zarr(tmp_path / "w.zarr", progress=False)
    np.testing.assert_array_equal(site.fusion.coregister(site).mu, site.mu)
    part = site.isel(x=slice(1, None))
    np.testing.assert_array_equal(site.fusion.coregister(part).mu, part.mu)
    with pytest.raises(ValueError, match=r"a building site.*local CRS.*Dataset or DataArray"):
        site.fusion.coregister(xf.common_grid(part, resolution=5))


# Leading dims


@pytest.fixture
def stacked() -> xr.Dataset:
    """A retrieval whose leading dim has a MultiIndex."""
    index = pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=("site", "run"))
    mu = xr.DataArray(np.arange(36.0).reshape(4, 3, 3) + 1, dims=("k", "y", "x"))
    mu = mu.assign_coords(y=[20.0, 10.0, 0.0], x=[0.0, 10.0, 20.0])
    mu = mu.rio.write_crs("EPSG:32633")
    mu = mu.assign_coords(xr.Coordinates.from_pandas_multiindex(index, "k"))
    return xf.retrieval(mu, mu, mu > 30)


@pytest.mark.filterwarnings("error:Deleting a single level of a MultiIndex")
def test_a_multiindex_of_a_leading_dim_stays_whole_without_warnings(stacked: xr.Dataset) -> None:
    def levels(dataset: xr.Dataset) -> set[object]:
        return {*dataset.xindexes.get_all_coords("k")}

    fused = stacked.fusion.gaussian(stacked, diagnostics=True)
    assert levels(fused) == levels(fused.fusion.flag_conflict()) == {"k", "site", "run"}
    assert levels(xf.compute(stacked.chunk(y=2))) == {"k", "site", "run"}
    assert levels(stacked.fusion.exclude(stacked.mu > 5)) == {"k", "site", "run"}
    grid = stacked.fusion.product.geobox.zoom_out(3)
    assert levels(stacked.fusion.coregister(grid)) == {"k", "site", "run"}
    assert stacked.fusion.gaussian(dim="k").mu.dims == ("y", "x")
    plain = stacked.reset_index("k")
    np.testing.assert_array_equal(fused.mu, plain.fusion.gaussian(plain).mu)


@pytest.mark.filterwarnings("error:Deleting a single level of a MultiIndex")
def test_a_store_has_the_levels_of_a_multiindex(stacked: xr.Dataset, tmp_path: Path) -> None:
    back = stacked.fusion.to_zarr(tmp_path / "w.zarr", progress=False)
    again = back.load().set_index(k=["site", "run"])
    np.testing.assert_array_equal(again.sel(site="b", run=1).mu, stacked.mu[2])
    stacked.fusion.to_zarr(tmp_path / "w.zarr", progress=False)  # the same job


def test_no_rows_are_no_riddle_to_a_store(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no pixels along 'y': the selection misses the array"):
        one().isel(y=slice(0)).fusion.to_zarr(tmp_path / "w.zarr", progress=False)
    assert not (tmp_path / "w.zarr").exists()


def joined(shift: float) -> xr.Dataset:
    """What an outer join makes of two retrievals whose labels differ by rounding."""
    pixels = xr.DataArray(np.ones((2, 3, 4)), dims=("time", "y", "x"))
    pixels = pixels.assign_coords(y=[48.2, 48.1, 48.0], x=[16.0, 16.1, 16.2, 16.3])
    first = xf.retrieval(pixels[0], pixels[0])
    other = xf.retrieval(pixels[1], pixels[1]).assign_coords(x=pixels.x + shift)
    return xr.concat([first, other], "time", join="outer").assign_coords(time=[0, 1])


def test_labels_that_an_outer_join_doubled_are_noticed_where_sensors_would_never_meet() -> None:
    with pytest.raises(ValueError, match=r"x has the labels 16\.0 and 16\.000000001, as"):
        joined(1e-9).fusion.gaussian(dim="time")
    with pytest.raises(ValueError, match="join='override'"):
        joined(float(np.float32(16.1)) - 16.1).fusion.gaussian(dim="time")
    joined(0.0).fusion.gaussian(dim="time")
    joined(0.05).fusion.gaussian(dim="time")  # half a pixel is another grid, not a rounding


def test_labels_that_an_outer_join_doubled_are_noticed_of_aligned_sensors_and_of_a_series() -> None:
    cube = joined(1e-9)
    aligned = xr.align(cube.isel(time=0), cube.isel(time=1), join="outer")
    with pytest.raises(ValueError, match=r"x has the labels 16\.0 and 16\.000000001, as"):
        xf.gaussian(*aligned)
    days = np.array(["2023-06-20", "2023-06-21"], "datetime64[ns]")
    with pytest.raises(ValueError, match=r"x has the labels 16\.0 and 16\.000000001, as"):
        cube.assign_coords(time=days).fusion.smooth(q=0.1)


def test_doubled_labels_of_a_leading_dim_are_noticed_too() -> None:
    pixels = np.ones((4, 2, 3, 3))
    mu = xr.DataArray(pixels, dims=("time", "sensor", "y", "x"))
    days = np.array(["2023-06-20", "2023-06-21", "2023-06-22", "2023-06-23"], "datetime64[ns]")
    series = xf.retrieval(mu, mu).assign_coords(time=days)
    series.fusion.gaussian(dim="sensor")
    days[1] = days[0] + np.timedelta64(100, "us")
    with pytest.raises(ValueError, match=r"time has the labels 2023-06-20T.* and 2023-06-20T"):
        series.assign_coords(time=days).fusion.gaussian(dim="sensor")
    days[1] = days[0] + np.timedelta64(10, "s")  # two frames of a pass
    series.assign_coords(time=days).fusion.gaussian(dim="sensor")
    for levels in ([1e-9, 1.0, 1e3, 1e6], [0.0, 1e-9, 1e-8, 1e-7], [3, 2, 1, 0]):
        series.drop_vars("time").assign_coords(time=levels).fusion.gaussian(dim="sensor")


# The command

# arguments that messages name in Python, where the command has an option or another way
ARGUMENT = re.compile(
    r"\b(catalog|items|datetime|resume|overwrite|item|allow_local|offset|time|to_zarr|grid"
    r"|scale|nodata)=(?![=}])"
)
# what the command never meets: it gives no items, no interval, and an address or a path
NOT_OF_THE_COMMAND = (
    "items= is empty",
    "none of the",
    "items={",
    "items= has",
    "items= takes",
    "pass the open Client",
    "datetime={",
    "catalog= takes",
    "offset={",
    "time={",  # with its value: see test_cli.py
    "grid={",
    ".isel(time=0)",
    "by which files are named",  # of cubes, which it does not open
    "{cube.sizes['time']} acquisitions",
    "no labels there",
    "`excluded` is of",  # cubes of flags, which it does not take
    "times without dates, the retrieval",
    "declares no nodata: where no item lies",
    "load it with nodata=255",
    "of what means no data in {",  # of load_bands
    "has several dtypes and nodata",
    "the scale of {",
    "when bands are to be from",
    "nodata= is of",
    "has no coordinate 'time' of dates",  # of series
    ".assign_coords(time=dates)",
    "tz_localize(None)",
    "no reflectance is, digital numbers are",  # of xf.water: the command says its scale
    "does not say whether it holds reflectances",
    "that it holds reflectances, scale={",
)


def messages() -> Iterator[tuple[str, str]]:
    """Yield the texts of the package that are no docstrings, with the file of each."""
    package = Path(xf.__file__).parent
    for path in sorted(package.rglob("*.py")):
        if path.name in ("wording.py", "cli.py") or path.parent.name == "demo":
            continue
        tree = ast.parse(path.read_text())
        nodes = [*ast.walk(tree)]
        others: list[ast.AST] = [n.value for n in nodes if isinstance(n, ast.Expr)]  # docstrings
        for node in nodes:
            if isinstance(node, ast.JoinedStr):
                parts = [*ast.iter_child_nodes(node)]
                others += parts
                yield (
                    path.name,
                    "".join(
                        str(p.value) if isinstance(p, ast.Constant) else f"{{{ast.unparse(p)}}}"
                        for p in parts
                    ),
                )
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and not any(node is other for other in others):
                yield path.name, text


def test_no_message_that_the_command_may_show_names_an_argument_of_a_function() -> None:
    found = [(path, text) for path, text in messages() if ARGUMENT.search(text)]
    assert len(found) > 10
    left = {
        (path, words)
        for path, text in found
        if ARGUMENT.search(words := in_words_of_the_command(text))
        and not any(known in text for known in NOT_OF_THE_COMMAND)
    }
    assert not left


def test_noise_of_shares_has_a_mend_in_the_command(tmp_path: Path) -> None:
    mu = xr_zeros(GeoBox.from_bbox((5e5, 5e6, 5e5 + 40, 5e6 + 30), "EPSG:32633", resolution=10))
    xf.retrieval(mu - 0.1, 0.2, sensor="a").fusion.to_zarr(tmp_path / "w.zarr", progress=False)
    told = CliRunner().invoke(main, ["info", str(tmp_path / "w.zarr"), "--correlation", "200"])
    assert told.exit_code == 1
    assert (
        "of shares with noise, or of another quantity, say what counts, --threshold" in told.output
    )
    assert "clip" not in told.output


@pytest.mark.parametrize(
    ("sensor", "option"),
    [("s1", "--catalog-s1"), ("s2", "--catalog-s2"), ("radar", "--catalog-s1 or --catalog-s2")],
)
def test_an_error_of_a_sensor_names_its_catalogue(sensor: str, option: str) -> None:
    @of_sensor(sensor)
    def fail() -> None:
        msg = "none: pass items= or catalog="
        raise LookupError(msg)

    with pytest.raises(LookupError) as caught:
        fail()
    words = in_words_of_the_command(str(caught.value), caught.value)
    assert words == f"{sensor}: none: give another {option}"


def test_shares_have_a_space_before_the_sign_of_percent() -> None:
    package = Path(xf.__file__).parent
    found = [p.name for p in package.rglob("*.py") if re.search(r":[^{}\n]*%\}", p.read_text())]
    assert found == []
    found = [path for path, text in messages() if re.search(r"[0-9}]%(?![0-9A-Za-z])", text)]
    assert found == ["percentages.py"]  # where a space of another kind is before it
