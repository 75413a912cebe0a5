"""A cube of files: which are found, what is said where they do not fit; nothing is read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import rasterio
import xarray as xr
from click.testing import CliRunner
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords

import xfusion as xf
from tests.laziness import nothing_computes
from xfusion.cli import main
from xfusion.raster.file import RasterFile

GRID = GeoBox.from_bbox((600_000, 5_300_000, 600_960, 5_300_720), "EPSG:32633", resolution=20)
DAYS = ("2023-06-20", "2023-06-01", "2023-06-08")


def scene(day: str, *, geobox: GeoBox = GRID, time: str | None = None) -> xr.Dataset:
    rng = np.random.default_rng(int(day.replace("-", "")[:8]))
    mu = xr.DataArray(rng.random(geobox.shape, np.float32), xr_coords(geobox), geobox.dimensions)
    flags = rng.random(geobox.shape) < 0.2
    return xf.retrieval(mu, mu / 5 + 0.1, flags, sensor="sentinel-1", time=time)


def write(folder: Path, name: str, dataset: xr.Dataset) -> None:
    """Write plain GeoTIFFs, such as s1_20230620_mu.tif, without tags."""
    folder.mkdir(parents=True, exist_ok=True)
    geobox = dataset.odc.geobox
    for variable, array in dataset.data_vars.items():
        with rasterio.open(
            folder / f"{name}_{variable}.tif",
            "w",
            driver="GTiff",
            width=geobox.width,
            height=geobox.height,
            count=1,
            dtype=array.dtype,
            crs=str(geobox.crs),
            transform=geobox.transform,
        ) as file:
            file.write(array.to_numpy(), 1)


@pytest.fixture
def june(tmp_path: Path) -> Path:
    for day in DAYS:
        write(tmp_path / "june", f"s1_{day.replace('-', '')}", scene(day))
    return tmp_path / "june"


def patterns(folder: Path, stem: str = "s1_{time:%Y%m%d}") -> dict[str, Any]:
    return {name: f"{folder}/{stem}_{name}.tif" for name in ("mu", "sigma", "mask")}


def one_by_one(folder: Path, **options: Any) -> xr.Dataset:
    opened = []
    for day in DAYS:
        files = [
            folder / f"s1_{day.replace('-', '')}_{name}.tif" for name in ("mu", "sigma", "mask")
        ]
        opened.append(xf.Sentinel1Product.open(*files, time=day, **options))
    return xf.stack(opened)


def test_a_pattern_finds_the_files_and_reads_their_times_from_the_names(june: Path) -> None:
    (june / "notes_mu.txt").write_text("not one of them")
    with nothing_computes():
        series = xf.Sentinel1Product.open_series(**patterns(june))
    assert isinstance(series, xf.Sentinel1Product)
    xr.testing.assert_identical(series.dataset, one_by_one(june))
    assert series.dataset.time.dt.day.to_numpy().tolist() == [1, 8, 20]
    assert series.dataset.attrs["sensor"] == "sentinel-1"
    for i, day in enumerate(sorted(DAYS)):
        for name in ("mu", "sigma", "mask"):
            np.testing.assert_array_equal(series[name].isel(time=i), scene(day)[name])
    without = xf.open_series(patterns(june)["mu"], Path(patterns(june)["sigma"]))
    assert "mask" not in without
    assert "sensor" not in without.attrs


def test_lists_take_their_times_in_any_order_or_those_in_the_tags(june: Path) -> None:
    files = [
        [june / f"s1_{day.replace('-', '')}_{name}.tif" for day in DAYS]
        for name in ("mu", "sigma", "mask")
    ]
    series = xf.Sentinel1Product.open_series(*files, times=DAYS, chunks=16)
    xr.testing.assert_identical(series.dataset, one_by_one(june, chunks=16))
    some: list[Any] = [files[2][0], None, None]
    partly = xf.open_series(mu=files[0], sigma=files[1], mask=some, times=DAYS)
    assert partly["mask"].any(("y", "x")).to_numpy().tolist() == [False, False, True]
    written = one_by_one(june).fusion.to_cog(june / "cogs", prefix="s1_", progress=False)
    names = [name.removesuffix("_mu") for name in written if name.endswith("_mu")]
    tagged = [[written[f"{name}_{part}"] for name in names] for part in ("mu", "sigma", "mask")]
    back = xf.Sentinel1Product.open_series(*tagged).dataset
    xr.testing.assert_equal(back, one_by_one(june))
    found = xf.open_series(**patterns(june / "cogs", "s1_{time:%Y%m%dT%H%M%S}"))
    xr.testing.assert_identical(found, back)


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("2023/06/S1A_IW_20230620T051030_0A1B", "{time:%Y}/{time:%m}/S1A_*_{time:%Y%m%dT%H%M%S}_*"),
        ("2023/06/20/05/1030", "{time:%Y/%m/%d/%H/%M%S}"),
        ("a[1]{b}-171_2023-051030", "a[1]{{b}}-{time:%j_%Y-%H%M%S}"),
        ("x_051030.20.06.23", "*_{time:%H%M%S.%d.%m.%y}"),
    ],
)
def test_times_are_read_wherever_they_are_in_the_name(
    name: str, pattern: str, tmp_path: Path
) -> None:
    day = "2023-06-20T05:10:30"
    write((tmp_path / name).parent, Path(name).name, scene("2023-06-20"))
    series = xf.open_series(**patterns(tmp_path, pattern))
    np.testing.assert_array_equal(series.time, [np.datetime64(day, "ns")])


def test_a_relative_pattern_is_of_the_working_directory(
    june: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(june.parent)
    near: dict[str, Any] = {
        name: f"./june//s1_{{time:%Y%m%d}}_{name}.tif" for name in ("mu", "sigma", "mask")
    }
    series = xf.Sentinel1Product.open_series(**near).dataset
    monkeypatch.chdir("/")
    xr.testing.assert_identical(series, one_by_one(june))


def test_opening_reads_metadata_alone_and_tasks_grow_with_blocks(
    june: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(RasterFile, "_read", None)  # reading would fail
        series = xf.open_series(**patterns(june), chunks=12)
        assert series.mu.chunks == ((1, 1, 1), (12, 12, 12), (12, 12, 12, 12))
        assert series["mask"].chunks == series.mu.chunks
        coarse = GRID.zoom_out(3)
        moved = xf.coregister(series, coarse, chunks=6)
        there = xf.open_series(**patterns(june), chunks=12, like=coarse)
    blocks = 3 * 3 * 4
    for array in (series.mu, there.mu):
        assert len(array.__dask_graph__()) <= 4 * blocks + 3
    # of a block of the target one task that reads, one that picks, one that stacks
    assert len(moved.mu.__dask_graph__()) == 3 * 3 * 2 * 3


def reads_of(monkeypatch: pytest.MonkeyPatch, call: Callable[[], xr.Dataset]) -> list[str]:
    """Return which files a computation opens, as often as it does."""
    reads: list[str] = []
    opened = RasterFile.checked

    def noted(self: RasterFile, *how: Any) -> Any:
        reads.append(Path(self.path).name)
        return opened(self, *how)

    with monkeypatch.context() as patch:
        patch.setattr(RasterFile, "checked", noted)
        with dask.config.set(scheduler="sync"):
            call().compute()
    return reads


def test_a_cube_is_brought_onto_a_grid_straight_from_its_files(
    june: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    like = GRID.to_crs("EPSG:32632").zoom_out(2)
    series = xf.open_series(**patterns(june), chunks=12)
    moved = series.fusion.coregister(like, chunks=-1)
    reads = reads_of(monkeypatch, lambda: moved)
    # each file once, not the blocks of a lazy array
    assert len(reads) == 9
    assert len({*reads}) == 9
    expected = xf.stack([each.coregister(like) for each in opened(june)])
    xr.testing.assert_identical(moved.compute(), expected.compute())
    xr.testing.assert_equal(moved.compute(), series.compute().fusion.coregister(like))
    # what is no more the pixels of the files is not read from them
    higher = series.assign(mu=series.mu + 1).fusion.coregister(like)
    np.testing.assert_allclose(higher.mu, moved.mu + 1, rtol=1e-6)
    turned = series.isel(time=slice(None, None, -1)).fusion.coregister(like)
    xr.testing.assert_equal(turned.compute(), moved.isel(time=slice(None, None, -1)).compute())


def opened(folder: Path) -> list[xf.SensorProduct]:
    stems = [folder / f"s1_{day.replace('-', '')}" for day in DAYS]
    return [
        xf.SensorProduct.open(*(f"{stem}_{name}.tif" for name in ("mu", "sigma", "mask")), time=day)
        for stem, day in zip(stems, DAYS, strict=True)
    ]


def test_a_file_that_changes_during_a_run_of_a_cube_ends_it(june: Path, tmp_path: Path) -> None:
    series = xf.open_series(**patterns(june)).fusion.coregister(GRID.zoom_out(2))
    store = tmp_path / "series.zarr"
    last = june / "s1_20230620_mu.tif"

    def touch(block: Any) -> Any:
        last.write_bytes(last.read_bytes())
        return block

    spoilt = series.assign(mu=series.mu.copy(data=series.mu.data.map_blocks(touch)))
    with pytest.raises(Exception, match="s1_20230620_mu"):
        spoilt.fusion.to_zarr(store, progress=False)


def test_files_of_other_grids_are_told_with_the_mend_that_works(june: Path) -> None:
    moved = GRID.translate_pix(3, 2)
    write(june, "s1_20230630", scene("2023-06-30", geobox=moved))
    with pytest.raises(ValueError, match=r"20230630_mu.tif and .*20230601_mu.tif.*like=") as told:
        xf.open_series(**patterns(june))
    assert "coregister" in str(told.value)
    with nothing_computes():
        series = xf.open_series(**patterns(june), like=GRID)
    assert series.odc.geobox == GRID
    assert series.sizes["time"] == 4
    for name in ("mu", "sigma", "mask"):
        np.testing.assert_array_equal(series[name][:3], one_by_one(june)[name])
    late = series.isel(time=3)
    np.testing.assert_array_equal(late.mu[2:, 3:], scene("2023-06-30", geobox=moved).mu[:-2, :-3])
    assert (late["mask"][:2] == xf.Exclusion.UNKNOWN).all()


def copy(folder: Path, old: str, new: str, *parts: str) -> None:
    for part in parts or ("mu", "sigma", "mask"):
        (folder / f"{new}_{part}.tif").write_bytes((folder / f"{old}_{part}.tif").read_bytes())


def test_a_file_without_its_partner_names_both(june: Path) -> None:
    copy(june, "s1_20230620", "s1_20230701", "mu")
    said = r"s1_20230701_mu.tif, mu of 2023-07-01.* without its sigma: .*s1_20230701_sigma.tif"
    with pytest.raises(ValueError, match=said):
        xf.open_series(**patterns(june))
    (june / "s1_20230701_mu.tif").rename(june / "s1_20230701_sigma.tif")
    said = r"s1_20230701_sigma.tif, sigma of 2023-07-01.* without its mu: .*s1_20230701_mu.tif"
    with pytest.raises(ValueError, match=said):
        xf.open_series(**patterns(june))
    (june / "s1_20230701_sigma.tif").unlink()
    (june / "s1_20230608_mask.tif").unlink()
    with pytest.raises(ValueError, match=r"20230608_mu.tif, mu .* its mask.*20230608_mask.tif"):
        xf.open_series(**patterns(june))


def test_two_files_of_one_time_are_named(june: Path) -> None:
    copy(june, "s1_20230620", "s1_20230620b")
    with pytest.raises(
        ValueError, match=r"20230620_mu.tif and .*20230620b_mu.tif are both of 2023-06-20"
    ):
        xf.open_series(**patterns(june, "s1_{time:%Y%m%d}*"))
    mu, sigma, _ = (sorted(june.glob(f"*_{name}.tif")) for name in ("mu", "sigma", "mask"))
    times = ["2023-06-01", "2023-06-08", "2023-06-20", "2023-06-20T00:00"]
    with pytest.raises(ValueError, match=r"20230620_mu.tif and .*20230620b_mu.tif are both of"):
        xf.open_series(mu, sigma, times=times)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("s1_20231399", "s1_20231399_mu.tif has no date"),
        ("s1_2023-06-30", "s1_2023-06-30_mu.tif has no date.*digits"),
        ("s1_20230630T0510", "s1_20230630T0510_mu.tif has no date.*digits"),
    ],
)
def test_a_date_that_is_none_is_named_not_left_out(name: str, why: str, june: Path) -> None:
    copy(june, "s1_20230620", name)
    with pytest.raises(ValueError, match=why):
        xf.open_series(**patterns(june))


def test_a_pattern_may_begin_at_home(june: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(june.parent))
    monkeypatch.setenv("USERPROFILE", str(june.parent))
    named: dict[str, Any] = {
        name: f"~/{june.name}/{Path(text).name}" for name, text in patterns(june).items()
    }
    found = xf.open_series(**named)
    xr.testing.assert_identical(found, xf.open_series(**patterns(june)))
    assert found.sizes["time"] == len(DAYS)
    monkeypatch.chdir(june)
    with pytest.raises(ValueError, match=r"names no file: \. has"):
        xf.open_series(mu="~none_{time:%Y%m%d}_mu.tif", sigma="~none_{time:%Y%m%d}_sigma.tif")


def test_a_name_with_two_dates_is_not_guessed(june: Path) -> None:
    copy(june, "s1_20230620", "s1_20230620_20230704")
    with pytest.raises(ValueError, match=r"20230620_20230704_mu.tif has two dates"):
        xf.open_series(**patterns(june, "*{time:%Y%m%d}*"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"mu": "s1_{time:%m%d}_mu.tif"}, "says no day"),
        ({"mu": "s1_mu.tif"}, "says no day"),
        ({"mu": "s1_{date:%Y%m%d}_mu.tif"}, r"has \{date:%Y%m%d\}.*\{time:...\}"),
        ({"mu": "s1_{time}_mu.tif"}, r"has \{time:\}"),
        ({"mu": "s1_{time:%Y%b%d}_mu.tif"}, "has %b"),
        ({"mu": "s1_{time:%Y%m%d_mu.tif"}, "is no pattern"),
        ({"mu": "https://x.org/{time:%Y%m%d}_mu.tif?key=secret"}, r"'https://x.org/.*list of"),
        ({"mu": "s3://x/{time:%Y%m%d}_mu.tif"}, r"list of\s+their URLs"),
        ({"sigma": ["s1_20230620_sigma.tif"]}, "mu is a path and sigma a list"),
        ({"times": ["2023-06-20"]}, "in the names"),
        ({"mu": [], "sigma": []}, "empty list"),
        ({"mu": "july_{time:%Y%m%d}.tif"}, "names no file: .* has s1_20230601_mask.tif, .*more"),
        ({"mu": "no/{time:%Y%m%d}.tif"}, "no is no folder"),
        ({"mu": ["a", "b"], "sigma": ["c"]}, "2 files of mu, and 1 of sigma: b has none"),
        ({"mu": ["a", "b"], "sigma": ["c", "d"], "times": ["2023-06-20"]}, "1 of times: b has"),
        ({"mu": ["a"], "sigma": ["c"], "times": "2023-06-20"}, r"is one time: .*\['2023-06-20'\]"),
        (
            {"mu": ["a"], "sigma": ["c"], "times": np.datetime64("2023-06-20")},
            "is one time: give a list",
        ),
        ({"mu": ["a"], "sigma": ["c"], "times": ["june"]}, r"times\[0\], of a: .*not a date"),
    ],
)
def test_what_is_no_series_is_told_before_a_file_is_opened(
    given: dict[str, Any], said: str, june: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(june)
    monkeypatch.setattr("xfusion.series.opening.open_retrieval", None)
    arguments = {"mu": "s1_{time:%Y%m%d}_mu.tif", "sigma": "s1_{time:%Y%m%d}_sigma.tif"} | given
    with pytest.raises(ValueError, match=said) as told:
        xf.open_series(**arguments)
    assert "secret" not in str(told.value)


def test_a_file_that_does_not_say_its_time_is_named(june: Path) -> None:
    mu, sigma = (sorted(june.glob(f"*_{name}.tif")) for name in ("mu", "sigma"))
    with pytest.raises(ValueError, match=r"s1_20230601_mu.tif does not say its time: .*times="):
        xf.open_series(mu, sigma)


def test_numbers_are_scaled_as_open_scales_them(june: Path) -> None:
    series = xf.open_series(**patterns(june), scale=0.5, offset=1.0, nodata=0.25)
    xr.testing.assert_identical(
        xf.SensorProduct(dataset=series).dataset.drop_attrs(deep=False),
        one_by_one(june, scale=0.5, offset=1.0, nodata=0.25).drop_attrs(deep=False),
    )


# What is in a folder


def info(folder: Path) -> str:
    result = CliRunner().invoke(main, ["info", str(folder)])
    assert result.exit_code == 0, result.output
    return result.output


def test_info_of_a_folder_of_a_series_shows_dates_and_sensors(june: Path) -> None:
    write(june, "s2_2023-06-08T101500", scene("2023-06-08"))
    write(june, "dem", scene("2000-01-01"))
    (june / "s3_20230610_mu.tif").touch()  # without a sigma it is no retrieval
    told = info(june).splitlines()
    assert told[0] == f"{june}: 5 retrievals, y 36 x x 48, EPSG:32633"
    assert told[1] == "sensors: s1, s2, dem"
    assert told[2] == "time: 2023-06-01 to 2023-06-20"
    assert [line.split() for line in told[4:9]] == [
        ["2023-06-01T00:00:00Z", "s1", "s1_20230601_mu.tif"],
        ["2023-06-08T00:00:00Z", "s1", "s1_20230608_mu.tif"],
        ["2023-06-08T10:15:00Z", "s2", "s2_2023-06-08T101500_mu.tif"],
        ["2023-06-20T00:00:00Z", "s1", "s1_20230620_mu.tif"],
        ["no", "date", "dem", "dem_mu.tif"],
    ]
    assert told[9].endswith("s1_20230601_mu.tif")
    # two dates in a name, or a month 13, are not guessed
    for name in ("s1_20230601_20230603", "s1_20231301"):
        write(june / "odd", name, scene("2023-06-01"))
    assert info(june / "odd").count("no date") == 2


def test_info_of_a_cube_shows_its_dates_in_a_store_and_in_a_folder(
    june: Path, tmp_path: Path
) -> None:
    cube = xf.open_series(**patterns(june), sensor="sentinel-1")
    cube.fusion.to_cog(tmp_path / "cogs", progress=False)
    told = info(tmp_path / "cogs")
    assert "cogs: 3 retrievals" in told
    assert "sensors: sentinel-1\ntime: 2023-06-01 to 2023-06-20\n" in told
    cube.fusion.to_zarr(tmp_path / "cube.zarr", progress=False)
    assert "time: 2023-06-01T00:00:00 to 2023-06-20T00:00:00, 3 dates" in info(
        tmp_path / "cube.zarr"
    )
    # one result of its own name in the folder is what the folder is of
    cube.isel(time=0).fusion.to_cog(tmp_path / "cogs", progress=False)
    assert "excluded" in info(tmp_path / "cogs")
