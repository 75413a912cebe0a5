"""What is said of a release in several places agrees: versions, dates, dependencies, licence."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import xfusion as xf

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RECIPE: dict[str, Any] = yaml.safe_load((ROOT / ".conda/recipe.yaml").read_text())
CITATION: dict[str, Any] = yaml.safe_load((ROOT / "CITATION.cff").read_text())
# what conda calls otherwise: packages without what only some of their users need
OF_CONDA = {"dask[array]": "dask-core", "matplotlib": "matplotlib-base", "torch": "pytorch"}


def as_conda_has_it(requirement: str) -> str:
    """Return a requirement of pyproject.toml in the spelling of a recipe."""
    parts = re.fullmatch(r"([\w.\[\]-]+)(>=[\d.]+)", requirement)
    assert parts is not None, f"{requirement} has more than a lower bound: add it to this test"
    name, bound = parts.groups()
    return f"{OF_CONDA.get(name, name)} {bound}"


def test_the_recipe_has_version_licence_and_summary_of_the_package() -> None:
    assert RECIPE["context"]["version"] == xf.__version__
    about = RECIPE["about"]
    assert about["license"] == PROJECT["license"]
    assert [about["license_file"]] == PROJECT["license-files"]
    assert about["summary"] == PROJECT["description"]


def test_the_recipe_has_the_python_and_the_dependencies_of_the_package() -> None:
    assert f">={RECIPE['context']['python_min']}" == PROJECT["requires-python"]
    wanted = [as_conda_has_it(each) for each in PROJECT["dependencies"]]
    assert RECIPE["requirements"]["run"] == ["python >=${{ python_min }}", *wanted]


def test_the_recipe_bounds_what_the_extras_would_install() -> None:
    extras = PROJECT["optional-dependencies"].values()
    wanted = {as_conda_has_it(each) for extra in extras for each in extra}
    assert RECIPE["requirements"]["run_constraints"] == sorted(wanted)


def test_the_recipe_builds_with_the_backend_and_the_command_of_the_package() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert {as_conda_has_it(each) for each in build} < {*RECIPE["requirements"]["host"]}
    commands = [f"{name} = {target}" for name, target in PROJECT["scripts"].items()]
    assert RECIPE["build"]["python"]["entry_points"] == commands


def test_the_newest_entry_of_the_changelog_is_of_this_version_and_the_day_of_its_citation() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    releases = re.findall(r"^## (\d\S+) - (\d{4}-\d\d-\d\d)$", text, re.MULTILINE)
    assert releases[0] == (xf.__version__, CITATION["date-released"])
    days = [day for _, day in releases]
    assert days == sorted(days, reverse=True)


def test_the_citation_has_the_licence_of_the_package() -> None:
    assert CITATION["license"] == PROJECT["license"]


@pytest.mark.parametrize("page", ["README.md", "docs/getting-started/install.md"])
def test_every_extra_is_told_to_who_installs(page: str) -> None:
    text = (ROOT / page).read_text()
    for extra in PROJECT["optional-dependencies"]:
        assert f"`{extra}`" in text or f'".[{extra}]"' in text
