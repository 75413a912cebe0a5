"""Object stores."""

from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from tests.faults.assets import READ_FAILED, Served, around, expected, item, mask_of


@pytest.fixture
def s3(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_S3_ENDPOINT", urlsplit(served.url).netloc)
    monkeypatch.setenv("AWS_HTTPS", "NO")
    monkeypatch.setenv("AWS_VIRTUAL_HOSTING", "FALSE")


def without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    from xfusion.stac.untrusted import S3_CREDENTIALS

    for name in S3_CREDENTIALS:
        monkeypatch.delenv(name, raising=False)


def in_bucket(served: Served, sensor: str, *name: str) -> dict[str, Any]:
    return item(sensor, f"s3://{urlsplit(served.root(*name)).path[1:]}")


def test_assets_in_s3_are_read(
    served: Served, s3: None, sensor: str, chunks: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_credentials(monkeypatch)
    monkeypatch.setenv("AWS_NO_SIGN_REQUEST", "YES")
    one = in_bucket(served, sensor, "well", "s3", str(chunks))
    np.testing.assert_array_equal(mask_of(sensor, one, chunks=chunks), around(expected(sensor)))


@pytest.mark.parametrize("case", ["missing", "truncated", "closed"])
def test_faults_of_s3_end_as_those_of_http(
    served: Served, s3: None, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_credentials(monkeypatch)
    monkeypatch.setenv("AWS_NO_SIGN_REQUEST", "YES")
    one = in_bucket(served, "s2", case, "s3", "flag")
    mask = mask_of("s2", one, on_read_error="flag")
    failed = mask == READ_FAILED
    np.testing.assert_array_equal(mask[~failed], around(expected("s2"))[~failed])
    assert failed.any() == (case != "closed")
    if case != "closed":
        one = in_bucket(served, "s2", case, "s3", "raise")
        with pytest.raises(OSError, match=f"s3://{case}-s3-raise/red.tif could not be read"):
            mask_of("s2", one)


def test_the_https_alternate_is_read_where_there_are_no_credentials(
    served: Served, s3: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_credentials(monkeypatch)
    one = in_bucket(served, "gfm", "well", "alternate")
    there = f"{served.root('well', 'https')}/exclusion_mask.tif"
    one["assets"]["exclusion_mask"]["alternate"] = {"https": {"href": there}}
    np.testing.assert_array_equal(mask_of("gfm", one), around(expected("gfm")))
    assert served.asked(served.root("well", "https"), "exclusion_mask.tif") > 0
    assert served.asked(served.root("well", "alternate"), "exclusion_mask.tif") == 0
    monkeypatch.setenv("AWS_NO_SIGN_REQUEST", "YES")
    np.testing.assert_array_equal(mask_of("gfm", one), around(expected("gfm")))
    assert served.asked(served.root("well", "alternate"), "exclusion_mask.tif") > 0
