"""Settings and data that several test files use."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.store_runs import write_inputs
from xfusion.demo.scene import Scene, write_scene

settings.register_profile("ci", deadline=None, max_examples=30, derandomize=True)
settings.register_profile(
    "dev", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

SIZE_OF_SCENE = 0.25
SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"the real data are not at {SHARED}")
    return SHARED


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    # A blank in the path, because hrefs are URLs and file names are not.
    return write_scene(tmp_path_factory.mktemp("a scene"), size=SIZE_OF_SCENE)


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    return write_inputs(tmp_path / "in")
