"""Items that would make us read what they must not, or that contradict their files."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from pyproj import CRS

import xfusion as xf
from tests import catalogues as c
from xfusion.stac.untrusted import S3_CREDENTIALS, asset_href, check_hrefs

NEVER = [
    "/vsicurl/https://example.org/a.tif",
    "//vsicurl/https://example.org/a.tif",
    "/VSICURL/https://example.org/a.tif",
    "/vsizip//vsicurl/https://example.org/a.zip/a.tif",
    "/vsisubfile/0_100,/etc/passwd",
    "%2Fvsicurl/https://example.org/a.tif",
    "%252Fvsicurl%252Fhttps://example.org/a.tif",
    "file:///vsimem/a.tif",
    "file:/vsimem/a.tif",
    "FILE:///%76simem/a.tif",
    "file:///%2576simem/a.tif",
    "file:GTIFF_DIR:1:/etc/passwd",
    "GTIFF_DIR:1:/etc/passwd",
    "gtiff_raw:/etc/passwd",
    "J2K_SUBFILE:0,100,/etc/passwd",
    "NETCDF:/etc/passwd:a",
    "vrt:///etc/passwd",
    "zip+https://example.org/a.zip!a.tif",
    "zip+file:///etc/a.zip!passwd",
    "gs://bucket/a.tif",
    "FTP://example.org/a.tif",
    "data:image/tiff;base64,AAAA",
    "<VRTDataset rasterXSize='1' rasterYSize='1'><SourceFilename>file:/etc/passwd",
    "https%3A//example.org/a.tif",
    "ht\ntp://example.org/a.tif",
    "\n/vsicurl/https://example.org/a.tif",
    "/vsi\ncurl/https://example.org/a.tif",
    " /vsicurl/https://example.org/a.tif",
    "https://example.org/a.tif\n/vsicurl/",
    "https://example.org/a.tif\x00",
    "http://[::1/a.tif",
    "https:/example.org/a.tif",
    "https:example.org/a.tif",
    "HTTPS:/example.org/a.tif",
    "https:///example.org/a.tif",
    "https:%2F/example.org/a.tif",
    "s3:/bucket/a.tif",
]
LOCAL = [
    "file:///etc/passwd",
    "FILE:///etc/passwd",
    "file://localhost/etc/passwd",
    "/etc/passwd",
    "../../../../etc/passwd",
    "..%2F..%2Fetc%2Fpasswd",
    "a.tif",
    "",
]


CRS_THAT_OPENS = [
    "+init=/tmp/init:x",
    "init=/tmp/init:x",
    "+proj=longlat +nadgrids=/etc/passwd",
    "/etc/passwd",
    "my own",  # nobody knows what PROJ would make of it
    CRS(32633)
    .to_wkt("WKT1_GDAL")
    .replace(',AUTHORITY["EPSG","32633"]]', ',EXTENSION["PROJ4","+init=/tmp/init:x"]]'),
    'BOUNDCRS[SOURCECRS[GEOGCRS["x"]],ABRIDGEDTRANSFORMATION["x",PARAMETERFILE["x","/a"]]]',
    {"type": "BoundCRS", "transformation": {"parameters": [{"name": "f", "value": "/a"}]}},
]


@pytest.fixture
def nothing_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rasterio, "open", lambda *args, **_: pytest.fail(f"{args} was opened"))


def gfm(href: str, **fields: Any) -> dict[str, Any]:
    found = c.gfm_item("05:10:00", c.EQUI7, exclusion_mask=href)
    found["assets"]["exclusion_mask"] |= fields
    return found


@pytest.mark.usefixtures("nothing_is_opened")
@pytest.mark.parametrize("href", NEVER)
@pytest.mark.parametrize("allow_local", [True, False])
@pytest.mark.parametrize("where", ["mask", "advisory", "alternate", "second"])
def test_what_is_no_web_address_is_never_opened(
    href: str, allow_local: bool, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in S3_CREDENTIALS:
        monkeypatch.delenv(variable, raising=False)
    items = [gfm(href)]
    options: dict[str, Any] = {"allow_local": allow_local}
    if where == "second":
        items = [gfm("https://example.org/a.tif"), *items]
    elif where == "alternate":
        items = [gfm("s3://bucket/a.tif", alternate={"https": {"href": href}})]
    elif where == "advisory":
        items = [c.gfm_item("05:10:00", c.EQUI7, advisory_flags=href)]
        options["advisory_flags"] = True
    with pytest.raises(ValueError, match="of item '.*never opened|allow_local=True"):
        c.attach_gfm(items, c.DAY, **options)
    if allow_local:
        with pytest.raises(ValueError, match="never opened"):
            c.attach_gfm(items, c.DAY, on_read_error="flag", **options)


@pytest.mark.usefixtures("nothing_is_opened")
@pytest.mark.parametrize(
    ("name", "claim"),
    [
        ("proj:wkt2", "+init=/etc/passwd:x"),
        ("proj:shape", [10**9, 10**9]),
        ("proj:shape", 7),
        ("proj:transform", [0, 0, 0, 0, 0, 0]),
    ],
)
def test_what_an_item_without_its_mask_claims_of_its_grid_comes_to_nothing(
    name: str, claim: Any
) -> None:
    bare = c.gfm_item("05:10:00", c.EQUI7, ensemble_flood_extent="https://example.org/a.tif")
    bare["properties"][name] = claim
    whole = gfm("https://example.org/a.tif")
    masked, said = c.attach_gfm([whole, bare], c.DAY, chunks={"y": 17})
    assert masked["mask"].chunks is not None
    assert any("lacks the assets" in warning for warning in said)


@pytest.mark.usefixtures("nothing_is_opened")
@pytest.mark.parametrize("href", LOCAL)
def test_files_of_this_machine_are_not_opened_without_leave(href: str) -> None:
    for catalog in (None, "https://stac.eodc.eu/api/v1"):
        with pytest.raises(ValueError, match="of item '.*allow_local=True"):
            c.attach_gfm([gfm(href)], c.DAY, allow_local=False, catalog=catalog)


LINK_LOCAL = [
    "http://169.254.169.254/latest/meta-data/a.tif",
    "HTTP://169.254.169.254:80/a.tif",
    "http://user:pw@169.254.169.254/a.tif?sig=S3CRET",
    "http://example.org@169.254.1.1/a.tif",
    "http://0xa9fea9fe/a.tif",
    "http://2852039166/a.tif",
    "http://0251.0376.0251.0376/a.tif",
    "http://169.254.43518/a.tif",
    "http://%31%36%39.254.169.254/a.tif",
    "http://\uff11\uff16\uff19\uff0e254\u3002169.254/a.tif",
    "http://[fe80::1]/a.tif",
    "http://[fe80::1%25eth0]/a.tif",
    "http://[::ffff:169.254.169.254]/a.tif",
    "http://100.100.100.200/a.tif",
    "http://[fd00:ec2::254]/a.tif",
    "http://metadata.google.internal/a.tif",
]
LOOPBACK = [
    "http://127.0.0.1/a.tif",
    "https://localhost:8443/a.tif",
    "http://LOCALHOST./a.tif",
    "http://a.localhost/a.tif",
    "http://127.1/a.tif",
    "http://0.0.0.0/a.tif",
    "http://0/a.tif",
    "http://[::1]/a.tif",
    "http://[::]/a.tif",
    "http://[::ffff:7f00:1]/a.tif",
]
PRIVATE = [
    "http://10.0.0.1/a.tif",
    "http://172.16.5.4:9000/a.tif",
    "https://192.168.1.1/a.tif",
    "http://100.64.0.1/a.tif",
    "http://[fd12::1]/a.tif",
    "http://a.google.internal/a.tif",
    "http://nas.local/a.tif",
    "http://minio:9000/a.tif",
]
PUBLIC = [
    "https://example.org/a.tif",
    "https://8.8.8.8/a.tif",
    "https://[2600::1]/a.tif",
    "https://10.0.0.1.example.org/a.tif",
    "https://localhost.example.org/a.tif",
    "https://172.32.0.1/a.tif",
    "s3://localhost/a.tif",
    "s3://169.254.169.254/a.tif",
]
ORIGINS = {
    "https://stac.eodc.eu/api/v1": PUBLIC,
    "http://10.1.2.3/stac": PUBLIC + PRIVATE,
    "https://stac.corp": PUBLIC + PRIVATE,
    "http://stac:8080": PUBLIC + PRIVATE,
    "http://169.254.7.7/stac": PUBLIC + PRIVATE,
    "http://127.0.0.1:7822": PUBLIC + PRIVATE + LOOPBACK,
    "/data/items.json": PUBLIC + PRIVATE + LOOPBACK,
    None: PUBLIC + PRIVATE + LOOPBACK,
}


@pytest.mark.parametrize("origin", ORIGINS)
def test_a_catalogue_refers_only_to_what_is_as_near_as_itself(
    origin: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_NO_SIGN_REQUEST", "YES")
    for href in PUBLIC + PRIVATE + LOOPBACK + LINK_LOCAL:
        (found,) = xf.stac.as_items([gfm(href)])
        check_hrefs([found], xf.stac.EODC, allow_local=True, origin=origin)
        if href in ORIGINS[origin]:
            check_hrefs([found], xf.stac.EODC, allow_local=False, origin=origin)
            continue
        with pytest.raises(ValueError, match=r"'exclusion_mask' of item .*allow_local=True") as e:
            check_hrefs([found], xf.stac.EODC, allow_local=False, origin=origin)
        assert "S3CRET" not in str(e.value)
        assert "pw" not in str(e.value)


@pytest.mark.usefixtures("nothing_is_opened")
@pytest.mark.parametrize("given", ["items", "items beside a catalogue", "search"])
def test_an_address_of_the_local_link_is_not_opened_wherever_items_are_from(
    given: str, tmp_path: Path
) -> None:
    found = gfm(LINK_LOCAL[0]) | {"bbox": [-180, -90, 180, 90]}
    path = tmp_path / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [found]}))
    options: dict[str, Any] = {"items": [found], "catalog": str(path), "datetime": c.DAY}
    for name in {"items": ["catalog"], "search": ["items"]}.get(given, []):
        del options[name]
    with pytest.raises(ValueError, match="is on the local link.*allow_local=True"):
        c.retrieval().fusion.attach_gfm_mask(**options)


@pytest.mark.usefixtures("nothing_is_opened")
def test_a_public_catalogue_does_not_make_us_ask_the_network_we_are_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = xf.stac.as_items([gfm(PRIVATE[0])])
    monkeypatch.setattr("xfusion.masks.passes.find_items", lambda *_, **__: found)
    with pytest.raises(ValueError, match="is on a private network, its catalogue is not"):
        c.retrieval().fusion.attach_gfm_mask(datetime=c.DAY)


@pytest.mark.usefixtures("nothing_is_opened")
def test_an_address_of_its_own_choice_makes_no_item_local() -> None:
    found = gfm("passwd")
    found["links"] = [{"rel": "self", "href": "file:///etc/items.json"}]
    with pytest.raises(ValueError, match="allow_local=True"):
        c.attach_gfm([found], c.DAY, allow_local=False)
    found["links"] = [{"rel": "self", "href": "/vsimem/items.json"}]
    with pytest.raises(ValueError, match="never opened"):
        c.attach_gfm([found], c.DAY)


def test_harmless_addresses_are_read_whatever_their_case_and_alternates() -> None:
    alternates: list[Any] = ["no mapping", {"https": "no mapping"}, {"https": {"href": 1}}]
    for href in ("https://x/vsi_a.tif?sig=a%2Fb%3D%0A&c=d:e", "HTTPS://x/a b.tif", "S3://x/a.tif"):
        for alternate in alternates:
            (found,) = xf.stac.as_items([gfm(href, alternate=alternate)])
            check_hrefs([found], xf.stac.EODC, allow_local=False)
            opened = asset_href(found, "exclusion_mask")
            assert opened.partition(":")[0] == href.partition(":")[0].lower()
            assert opened.partition(":")[2] == href.partition(":")[2]


@pytest.mark.usefixtures("nothing_is_opened")
@pytest.mark.parametrize("level", ["asset", "item"])
@pytest.mark.parametrize(
    "shape", [[10**9, 10**9], [10**9, 1], [0, 5], [-5, 5], ["many", 5], 7, [float("nan"), 5]]
)
def test_claimed_sizes_that_no_raster_has_are_refused(shape: Any, level: str) -> None:
    found = gfm("https://example.org/a.tif")
    fields = found["assets"]["exclusion_mask"] if level == "asset" else found["properties"]
    fields["proj:shape"] = shape
    with pytest.raises(ValueError, match="'exclusion_mask' of item 'ENSEMBLE"):
        c.attach_gfm([found], c.DAY)


@pytest.mark.parametrize(
    "size",
    [
        {"width": 2 * 10**7, "height": 16},
        {"width": 32768, "height": 32768, "tiled": True, "blockxsize": 32768, "blockysize": 32768},
    ],
    ids=["side", "block"],
)
@pytest.mark.parametrize("proj", [True, False], ids=["claimed", "not claimed"])
def test_a_file_that_claims_a_bomb_of_pixels_is_not_decoded(
    tmp_path: Path, size: dict[str, Any], proj: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bomb.tif"
    options: Any = {"driver": "GTiff", "count": 1, "dtype": "uint8", "SPARSE_OK": True, **size}
    transform = c.EQUI7.affine
    with rasterio.open(path, "w", crs="EPSG:27704", transform=transform, **options):
        pass
    assert path.stat().st_size < 2**24
    monkeypatch.setattr(rasterio.io.DatasetReader, "read", lambda *_, **__: pytest.fail("read"))
    found = gfm(str(path))
    if proj:
        found["properties"]["proj:shape"] = [size["height"], size["width"]]
    else:
        del found["properties"]["proj:shape"], found["properties"]["proj:transform"]
    with pytest.raises(ValueError, match="claims .* pixels"):
        c.attach_gfm([found], c.DAY)


@pytest.mark.parametrize("proj", [True, False], ids=["with a grid", "without"])
def test_a_vrt_does_not_lead_to_other_files(tmp_path: Path, proj: bool) -> None:
    secret = c.write(tmp_path / "secret.tif", np.zeros(c.EQUI7.shape, np.uint8), c.EQUI7)
    rows, columns = c.EQUI7.shape
    geotransform = ", ".join(map(str, c.EQUI7.affine.to_gdal()))
    vrt = f"""<VRTDataset rasterXSize="{columns}" rasterYSize="{rows}"><SRS>EPSG:27704</SRS>
      <GeoTransform>{geotransform}</GeoTransform><VRTRasterBand dataType="Byte" band="1">
      <SimpleSource><SourceFilename>{secret}</SourceFilename></SimpleSource>
      </VRTRasterBand></VRTDataset>"""
    evil = tmp_path / "evil.tif"
    evil.write_text(vrt)
    with rasterio.open(evil) as file:
        assert (file.read(1) == 0).all()
    found = gfm(str(evil))
    if not proj:
        del found["properties"]["proj:shape"]
    with pytest.raises(OSError, match="evil.tif"):
        c.attach_gfm([found], c.DAY)
    flagged, _ = c.attach_gfm([found], c.DAY, on_read_error="flag")
    assert (flagged["mask"] == int(xf.Exclusion.READ_FAILED)).all()


# Items that contradict their files


@pytest.fixture(scope="module")
def frame(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, np.ndarray]:
    mask = np.random.default_rng(3).integers(0, 2, c.EQUI7.shape).astype(np.uint8)
    href = c.write(tmp_path_factory.mktemp("frame") / "mask.tif", mask, c.EQUI7)
    return href, c.gfm_flags(mask)


WKT = CRS(27704).to_wkt("WKT2_2019")
MOVED = WKT.replace("5837287.82", "5837187.82").replace("27704", "99999")


def shifted(east: float) -> list[float]:
    return [20.0, 0.0, c.EQUI7.affine.c + east, 0.0, -20.0, c.EQUI7.affine.f]


def test_an_item_that_says_to_lie_elsewhere_leaves_everything_unknown(
    frame: tuple[str, np.ndarray],
) -> None:
    found = gfm(frame[0])
    found["properties"]["proj:code"] = "EPSG:27706"  # Equi7 of Oceania
    masked, _ = c.attach_gfm([found], c.DAY)
    assert (masked["mask"] == int(xf.Exclusion.UNKNOWN)).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"proj:transform": shifted(500)}, "has the transform .* as its item says"),
        ({"proj:transform": shifted(10)}, "has the transform .* as its item says"),
        ({"proj:shape": [24, 30]}, "has .* pixels, not"),
        ({"proj:wkt2": MOVED}, "is in EPSG:27704, not in 'WGS 84 / Equi7 Europe' as"),
        ({"proj:transform": [0.0] * 6}, "no inverse"),
        ({"proj:transform": [float("nan")] * 6}, "no inverse"),
        ({"proj:transform": ["a"] * 6}, "are no grid"),
        ({"proj:transform": [20.0, 0.0]}, "are no grid"),
        ({"proj:shape": [48, 60, 3]}, "are no grid"),
        ({"proj:code": "EPSG:0"}, "are no grid"),
    ],
)
def test_a_grid_that_is_not_that_of_the_file_is_an_error_and_no_shifted_mask(
    frame: tuple[str, np.ndarray], fields: dict[str, Any], message: str
) -> None:
    found = gfm(frame[0])
    found["properties"] |= fields
    with pytest.raises(ValueError, match=message) as error:
        c.attach_gfm([found], c.DAY)
    assert "mask.tif" in str(error.value) or "'exclusion_mask' of item" in str(error.value)
    flagged, _ = c.attach_gfm([found], c.DAY, on_read_error="flag")
    failed = int(xf.Exclusion.READ_FAILED)
    assert {failed} <= set(np.unique(flagged["mask"])) <= {failed, 32}


@pytest.mark.parametrize(
    ("of_item", "of_asset"),
    [
        ({}, {}),
        ({"proj:wkt2": True}, {}),
        ({"proj:transform": True, "proj:wkt2": True}, {"proj:shape": [7, 7]}),
        ({"proj:shape": True, "proj:transform": True}, {}),
        ({}, {"proj:shape": True, "proj:transform": True, "proj:epsg": 27704}),
        ({"proj:epsg": 27704}, {"proj:shape": True, "proj:transform": True}),
        ({"proj:epsg": None, "proj:wkt2": True}, {"proj:shape": True, "proj:transform": True}),
        ({"proj:projjson": True}, {"proj:shape": True, "proj:transform": True}),
        ({"proj:code": "EPSG:27706"}, {"proj:code": "EPSG:27704", **c.proj(c.EQUI7)}),
    ],
)
def test_wherever_the_grid_is_said_the_pixels_are_in_their_places(
    frame: tuple[str, np.ndarray], of_item: dict[str, Any], of_asset: dict[str, Any]
) -> None:
    found = copy.deepcopy(gfm(frame[0]))
    known = found["properties"] | {"proj:projjson": CRS(27704).to_json_dict()}
    of_item, of_asset = (
        {k: known[k] if v is True else v for k, v in fields.items()}
        for fields in (of_item, of_asset)
    )
    found["properties"] = {"datetime": known["datetime"], **of_item}
    found["assets"]["exclusion_mask"] |= of_asset
    masked, _ = c.attach_gfm([found], c.DAY)
    np.testing.assert_array_equal(masked["mask"], frame[1])


@pytest.mark.usefixtures("nothing_is_opened")
@pytest.mark.parametrize("stated", CRS_THAT_OPENS)
@pytest.mark.parametrize("level", ["item", "asset"])
@pytest.mark.parametrize("field", ["proj:code", "proj:wkt2", "proj:projjson"])
def test_a_crs_that_names_a_file_never_reaches_proj(
    stated: Any, level: str, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = gfm("https://example.org/a.tif")
    at = found["properties"] if level == "item" else found["assets"]["exclusion_mask"]
    for name in ("proj:code", "proj:epsg", "proj:wkt2", "proj:projjson"):
        at.pop(name, None)
    at[field] = stated
    items = xf.stac.as_items([found])
    monkeypatch.setattr(
        "odc.geo.crs._make_crs", lambda *args: pytest.fail(f"{args} was given to PROJ")
    )
    with pytest.raises(ValueError, match="'exclusion_mask' of item.*never opened"):
        check_hrefs(items, xf.stac.EODC, allow_local=True)


@pytest.mark.parametrize(
    "stated",
    [
        32633,
        "EPSG:27704",
        "IAU_2015:30100",
        *(CRS(27704).to_wkt(version) for version in ("WKT2_2019", "WKT2_2015", "WKT1_ESRI")),
        CRS(27704).to_json_dict(),
    ],
)
def test_a_crs_that_is_one_is_taken(stated: Any) -> None:
    found = gfm("https://example.org/a.tif")
    found["properties"]["proj:wkt2"] = stated
    check_hrefs(xf.stac.as_items([found]), xf.stac.EODC, allow_local=False)


@pytest.mark.parametrize(
    "href", ["a.tif?sig=SECRET", "https%3A//h/a.tif?sig=SECRET", "https:/h/a.tif%3Fsig=SECRET"]
)
def test_a_refusal_tells_no_secret(href: str) -> None:
    with pytest.raises(ValueError, match="'exclusion_mask' of item") as error:
        check_hrefs(xf.stac.as_items([gfm(href)]), xf.stac.EODC, allow_local=False)
    assert "SECRET" not in str(error.value)
