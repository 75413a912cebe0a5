"""Searches of an API that has three items, and what slows them down."""

from typing import Any

import requests
from pystac_client import Client

import xfusion as xf
from tests.faults.assets import AROUND, DAY
from tests.faulty import Fault
from tests.waits import AT_MOST
from xfusion import stac

IDS = ["frame 1", "frame 2", "frame 3"]


def search(catalog: Any, day: str = DAY) -> list[str]:
    return sorted(found.id for found in stac.search(catalog, AROUND, day, default=xf.stac.EODC))


def stats(url: str) -> dict[str, Any]:
    counts: dict[str, Any] = requests.get(f"{url}/__stats__", timeout=AT_MOST).json()
    return counts


DRIPS = {
    "body": Fault("drip", seconds=0.2),
    "headers": Fault("drip", part=None, seconds=0.2),
}


def asked_by(who: str, url: str, **options: Any) -> Any:
    """The catalogue as an address, or as a Client that its user has opened."""
    return url if who == "ours" else Client.open(url, **options)
