"""What is read from servers that misbehave: the right pixels, flagged pixels, or an error."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.asset_server import serve_folder
from tests.faults.assets import (
    AROUND,
    FAULTY,
    GRID,
    LASTING,
    LAYERS,
    PARTIAL,
    PASSING,
    READ_FAILED,
    RIM,
    SIDE,
    UNKNOWN,
    Served,
    around,
    attach,
    each_of,
    expected,
    in_tiles,
    item,
    mask_of,
    target,
    tiles_beyond,
    write,
)
from tests.faulty import Fault
from tests.waits import AT_MOST


@pytest.mark.some(one_in=3)
@pytest.mark.parametrize(
    ("sensor", "mode", "chunks"),
    [("s2", "raise", None), ("s2", "flag", 160), ("gfm", "flag", None), ("gfm", "raise", 160)],
)
@pytest.mark.parametrize("case", each_of(PASSING))
def test_a_fault_that_passes_leaves_the_right_pixels(
    served: Served,
    sensor: str,
    case: str,
    mode: str,
    chunks: int | None,
    request: pytest.FixtureRequest,
) -> None:
    if case == "silent once":
        request.getfixturevalue("impatient")
    root = served.root(case, sensor, mode, str(chunks))
    mask = mask_of(sensor, item(sensor, root), chunks=chunks, on_read_error=mode)
    np.testing.assert_array_equal(mask, around(expected(sensor)))
    assert served.asked(root, FAULTY[sensor]) > 1 or case == "moved"


@pytest.mark.parametrize(("sensor", "chunks"), [("s2", None), ("gfm", 160)])
@pytest.mark.parametrize("case", LASTING)
def test_a_lasting_fault_is_an_error_that_names_the_asset(
    served: Served, sensor: str, case: str, chunks: int | None
) -> None:
    root = served.root(case, sensor, "raise", str(chunks))
    with pytest.raises(OSError, match=f"{root}/{FAULTY[sensor]} could not be read"):
        mask_of(sensor, item(sensor, root), chunks=chunks)


@pytest.mark.parametrize(("sensor", "chunks"), [("s2", 160), ("gfm", None)])
@pytest.mark.parametrize("case", LASTING)
def test_a_lasting_fault_flags_the_whole_file_and_nothing_else(
    served: Served, sensor: str, case: str, chunks: int | None
) -> None:
    root = served.root(case, sensor, "flag", str(chunks))
    mask = mask_of(sensor, item(sensor, root), chunks=chunks, on_read_error="flag")
    np.testing.assert_array_equal(mask, around(np.full(GRID.shape, READ_FAILED)))


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("mode", ["raise", "flag"])
def test_a_server_that_does_not_answer_is_given_up_after_a_few_time_outs(
    served: Served, mode: str, chunks: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    root = served.root("silent", mode, str(chunks))
    start = time.monotonic()
    if mode == "raise":
        with pytest.raises(OSError, match=f"{root}/red.tif could not be read"):
            mask_of("s2", item("s2", root), chunks=chunks)
    else:
        mask = mask_of("s2", item("s2", root), chunks=chunks, on_read_error="flag")
        np.testing.assert_array_equal(mask, around(np.full(GRID.shape, READ_FAILED)))
    assert time.monotonic() - start < AT_MOST
    assert served.asked(root, "red.tif") < 6


@pytest.mark.some(one_in=3)
@pytest.mark.parametrize("case", PARTIAL)
def test_a_file_of_which_some_tiles_fail_raises_or_flags_them(
    served: Served, case: str, chunks: int | None
) -> None:
    fault, known = PARTIAL[case]
    root = served.root(case, "raise", str(chunks))
    with pytest.raises(OSError, match=f"{root}/red.tif could not be read"):
        mask_of("s2", item("s2", root), chunks=chunks)
    root = served.root(case, "flag", str(chunks))
    mask = mask_of("s2", item("s2", root), chunks=chunks, on_read_error="flag")
    failed = mask == READ_FAILED
    assert 0 < failed.sum() < GRID.shape[0] * GRID.shape[1]
    np.testing.assert_array_equal(mask[~failed], around(expected("s2"))[~failed])
    path = served.folder / "well" / "red.tif"
    first = int(path.stat().st_size * (fault.part or 0)) if case == "truncated" else fault.after
    beyond = in_tiles(tiles_beyond(path, first))
    if known:
        np.testing.assert_array_equal(failed, around(beyond, outside=False))


@pytest.mark.parametrize("key", ["nir", "scl"])
def test_one_of_several_assets_that_is_missing_spoils_the_pixel(
    served: Served, key: str, chunks: int | None
) -> None:
    one = item("s2", served.root("well"))
    one["assets"][key]["href"] = f"{served.url}/nowhere-{chunks}/{key}.tif"
    with pytest.raises(OSError, match=rf"/nowhere-{chunks}/{key}.tif could not be read"):
        mask_of("s2", one, chunks=chunks)
    mask = mask_of("s2", one, chunks=chunks, on_read_error="flag")
    np.testing.assert_array_equal(mask, around(np.full(GRID.shape, READ_FAILED)))


@pytest.mark.some(one_in=2)
def test_flags_do_not_depend_on_chunks(served: Served, sensor: str) -> None:
    """On a grid between the pixels, where the neighbours of a failed tile are interpolated."""
    like = AROUND.translate_pix(0.3, 0.4).crop((300, 410))
    one = item(sensor, served.root("truncated", sensor, "chunks"))
    eager = mask_of(sensor, one, like=target(like), on_read_error="flag")
    assert {0, READ_FAILED, UNKNOWN} <= {*np.unique(eager)}
    for chunks in (64, 129, 410):
        lazy = mask_of(sensor, one, like=target(like, chunks), on_read_error="flag")
        np.testing.assert_array_equal(lazy, eager)


def test_flags_on_a_coarser_grid_are_those_of_the_nearest_tile(served: Served) -> None:
    root = served.root("truncated", "coarse")
    like = GRID.zoom_out(4)
    mask = mask_of("s2", item("s2", root), like=target(like), on_read_error="flag")
    path = served.folder / "well" / "red.tif"
    beyond = in_tiles(tiles_beyond(path, int(path.stat().st_size * 0.55)))
    np.testing.assert_array_equal(mask == READ_FAILED, beyond[2::4, 2::4])


def test_an_item_without_a_grid_whose_file_is_missing_fails_everywhere(
    served: Served, sensor: str
) -> None:
    one = item(sensor, served.root("missing", sensor, "bare"))
    for asset in one["assets"].values():
        del asset["proj:shape"], asset["proj:transform"]
    with pytest.raises(OSError, match="missing-.*could not be read"):
        mask_of(sensor, one)
    mask = mask_of(sensor, one, on_read_error="flag")
    assert (mask == READ_FAILED).all()


# Several items


def shifted(one: dict[str, Any], columns: int) -> dict[str, Any]:
    """The item as if its files lay so many pixels farther east; they do not say otherwise."""
    for asset in one["assets"].values():
        step = asset["proj:transform"][0]
        asset["proj:transform"][2] += columns * 10 // step * step
    return one


def test_an_overlapping_tile_cures_what_could_not_be_read(
    served: Served, chunks: int | None
) -> None:
    failing = item("s2", served.root("truncated", "cured", str(chunks)), "failing")
    well = item("s2", served.root("well"), "well", "2023-06-20T12:00:20Z")
    for items in ((failing, well), (well, failing)):
        mask = mask_of("s2", *items, chunks=chunks, on_read_error="flag")
        np.testing.assert_array_equal(mask, around(expected("s2")))


def test_an_overlapping_tile_cures_no_more_than_it_has_seen(
    served: Served, tmp_path: Path, chunks: int | None
) -> None:
    """The well tile lies half on the failed one: three parts, each with another outcome."""
    half = SIDE // 2
    for key, pixels in LAYERS.items():
        grid = GRID.zoom_out(2) if key == "scl" else GRID
        step = half // 2 if key == "scl" else half
        dtype = "uint16" if key in ("red", "nir") else "uint8"
        write(tmp_path / f"{key}.tif", pixels.astype(dtype), grid.translate_pix(step, 0))
    failing = item("s2", served.root("missing", "half", str(chunks)), "failing")
    well = shifted(item("s2", tmp_path.as_uri(), "well"), half)
    like = target(GRID.expand((SIDE, SIDE + half + RIM)), chunks)
    options: dict[str, Any] = {"like": like, "on_read_error": "flag", "allow_local": True}
    mask = mask_of("s2", failing, well, **options)
    assert (mask[:, :half] == READ_FAILED).all()
    np.testing.assert_array_equal(mask[:, half : half + SIDE], expected("s2"))
    assert (mask[:, half + SIDE :] == UNKNOWN).all()


@pytest.mark.parametrize("apart", ["12:00:25", "17:00:00"], ids=["frames", "passes"])
def test_a_frame_that_could_not_be_read_is_not_outvoted_by_one_that_was(
    served: Served, apart: str, chunks: int | None
) -> None:
    failing = item("gfm", served.root("missing", apart[:2], str(chunks)), "failing")
    well = item("gfm", served.root("well"), "well", f"2023-06-20T{apart}Z")
    for items in ((failing, well), (well, failing)):
        with pytest.raises(OSError, match="missing-.*exclusion_mask.tif"):
            mask_of("gfm", *items, chunks=chunks)
        mask = mask_of("gfm", *items, chunks=chunks, on_read_error="flag")
        inside = mask[RIM:-RIM, RIM:-RIM]
        assert (inside & READ_FAILED).all()
        assert (around(np.zeros(GRID.shape), 1)[mask == UNKNOWN] == 1).all()
        assert not (mask == 0).any()


def test_another_acquisition_that_was_read_makes_a_pixel_usable(
    served: Served, chunks: int | None
) -> None:
    failing = item("s2", served.root("missing", "other", str(chunks)), "failing")
    well = item("s2", served.root("well"), "well", "2023-06-20T15:00:00Z")
    mask = mask_of("s2", failing, well, chunks=chunks, on_read_error="flag")
    usable = expected("s2") == 0
    np.testing.assert_array_equal(mask == 0, around(usable, outside=False))
    assert (mask[RIM:-RIM, RIM:-RIM][~usable] & READ_FAILED).all()


# What a result says of itself


def test_completeness_counts_what_could_not_be_read(served: Served, chunks: int | None) -> None:
    root = served.root("truncated", "complete", str(chunks))
    lacking = item("s2", served.root("well"), "lacking")
    del lacking["assets"]["nir"]
    with pytest.warns(UserWarning, match="lacks the assets"):
        masked = attach(
            "s2", item("s2", root), lacking, like=target(chunks=chunks), on_read_error="flag"
        )
    said = masked.fusion.completeness().compute()
    path = served.folder / "well" / "red.tif"
    beyond = in_tiles(tiles_beyond(path, int(path.stat().st_size * 0.55)))
    size = AROUND.shape[0] * AROUND.shape[1]
    assert (int(said.items_found), int(said.assets_missing)) == (2, 1)
    assert float(said.read_failed) == pytest.approx(beyond.sum() / size)
    assert float(said.unknown) == pytest.approx(1 - SIDE * SIDE / size)
    assert float(said.observed) == pytest.approx((~beyond).sum() / size)
    assert float(said.usable) == pytest.approx(((expected("s2") == 0) & ~beyond).sum() / size)


# Refused before their pixels are read


@pytest.mark.parametrize("what", ["shape", "place", "classes"])
def test_a_file_that_is_not_what_its_item_says_is_refused_or_flagged(
    served: Served, tmp_path: Path, what: str
) -> None:
    one = item("gfm", tmp_path.as_uri())
    pixels = LAYERS["exclusion_mask"].astype("uint8")
    # 256 is 0, not excluded, to who takes it for a class
    wide = np.full(GRID.shape, 256, "uint16")
    pixels, grid, said = {
        "shape": (pixels[:200], GRID[:200], "has .* pixels, not"),
        "place": (pixels, GRID.translate_pix(1, 0), "has the transform"),
        "classes": (wide, GRID, "holds uint16, not classes of uint8"),
    }[what]
    write(tmp_path / "exclusion_mask.tif", pixels, grid)
    with pytest.raises(ValueError, match=f"exclusion_mask.tif {said}"):
        mask_of("gfm", one, allow_local=True)
    mask = mask_of("gfm", one, allow_local=True, on_read_error="flag")
    np.testing.assert_array_equal(mask, around(np.full(GRID.shape, READ_FAILED)))


def test_pixels_of_this_machine_do_not_come_through_a_redirect(
    served: Served, tmp_path: Path
) -> None:
    """Were it followed, the mask would be that of the file, not an error."""
    secret = tmp_path / "secret.tif"
    write(secret, np.zeros(GRID.shape, "uint8"), GRID)
    folder = tmp_path / "public"
    folder.mkdir()
    with serve_folder(folder, {"/*": Fault("redirect", location=secret.as_uri())}) as url:
        with pytest.raises(OSError, match="exclusion_mask.tif could not be read"):
            mask_of("gfm", item("gfm", url))
        assert (mask_of("gfm", item("gfm", url), on_read_error="flag") != 0).all()
