"""What goes into a graph says what it is: no field of it can leave the fingerprint unseen."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import xfusion as xf
from xfusion.datamodel.graph import InGraph
from xfusion.raster.file import RasterFile
from xfusion.store.fingerprint import differences, job_of


def kinds(kind: type) -> list[type]:
    """A class and all that are derived of it."""
    below: list[type] = kind.__subclasses__()
    return [kind, *(each for derived in below for each in kinds(derived))]


OURS = [kind for kind in kinds(InGraph)[1:] if kind.__module__.startswith("xfusion.")]


def test_all_that_tasks_hold_of_ours_is_known() -> None:
    assert {kind.__name__ for kind in OURS} >= {
        "FusionTask",
        "Mosaic",
        "PixelMapping",
        "RasterFile",
        "Warp",
        "WarpedBands",
        "WarpedItem",
    }


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.__name__)
def test_every_field_is_described(kind: Any) -> None:
    parts = object.__new__(kind)
    fields = [field.name for field in dataclasses.fields(kind)]
    for name in fields:
        object.__setattr__(parts, name, "x")
    # of a file the path is told as an input, without its secrets
    # and that it is of mu or sigma changes no pixel
    hidden = {"path", "layer"} if kind is RasterFile else set()
    # its digest is that of the module, and where it runs is no parameter
    hidden |= {"module", "device", "_lock"} if kind.__name__ == "TorchModel" else set()
    assert {*parts.described()} == {*fields} - hidden


@dataclasses.dataclass(frozen=True)
class Shift(InGraph):
    """A part of tasks with a parameter of a name that no list knows."""

    by_a_name_of_its_own: float
    inner: Any = None

    def __call__(self, block: Any) -> Any:
        return block + self.by_a_name_of_its_own


def job(part: Any) -> dict[str, str]:
    mu = da.zeros((4, 4), chunks=2).map_blocks(part, dtype=float)
    return job_of(xf.retrieval(xr.DataArray(mu, dims=("y", "x")), np.ones((4, 4))))


def test_a_parameter_of_any_name_is_told_apart_and_named() -> None:
    one, two = job(Shift(1.0)), job(Shift(2.0))
    assert "by_a_name_of_its_own of shift was 1.0, is 2.0" in differences(one, two)
    assert job(Shift(1.0)) == one
    nested = job(Shift(1.0, [Shift(7.0)])), job(Shift(1.0, [Shift(8.0)]))
    assert "1.0, 7.0, is 1.0, 8.0" in differences(*nested)
    inside = job(functools.partial(np.add, Shift(3.0).by_a_name_of_its_own))
    assert inside != one


def test_the_secret_of_an_address_is_not_in_the_fingerprint() -> None:
    file = RasterFile("https://h/a.tif?sig=S3CRET", (4, 4), np.dtype("f4"), masked=True)
    text = str(job(functools.partial(_with_file, file=file)))
    assert "https://h/a.tif" in text
    assert "S3CRET" not in text


def _with_file(block: Any, file: RasterFile) -> Any:
    return block * file.ndim


def test_paths_of_files_are_inputs(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"12345")
    file = RasterFile(str(path), (4, 4), np.dtype("f4"), masked=True)
    before = job(functools.partial(_with_file, file=file))
    assert f"input {path}" in before
    path.write_bytes(b"123456")
    assert "was 5 bytes" in differences(before, job(functools.partial(_with_file, file=file)))
