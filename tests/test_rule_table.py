"""The table of rules is the only one: what else names rules, or their parameters, agrees."""

import inspect
import re
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

import xfusion as xf
from xfusion.cli import main
from xfusion.fusion.rules import RULES, RuleName
from xfusion.kernels import codes

PAGE = (Path(__file__).parents[1] / "docs/rules.md").read_text()


@pytest.fixture
def retrieval() -> xr.Dataset:
    return xf.retrieval(np.full((1, 1), 0.3), np.full((1, 1), 0.1))


def test_the_type_has_the_names_of_the_table() -> None:
    assert get_args(RuleName) == tuple(RULES)


def test_each_rule_has_the_code_of_its_name() -> None:
    assert {name: row.code for name, row in RULES.items()} == {
        name.lower(): value for name, value in vars(codes).items() if name.isupper()
    }
    assert len({row.code for row in RULES.values()}) == len(RULES)


def test_the_command_offers_all_rules() -> None:
    text = CliRunner().invoke(main, ["fuse", "--help"]).output
    assert f"[{'|'.join(RULES)}]" in re.sub(r"\s+", "", text)


def test_the_page_has_a_section_and_a_row_for_each_rule() -> None:
    sections = re.findall(r"^## (.+?)(?:,.*)?$", PAGE, re.MULTILINE)
    assert {name.replace("_", " ") for name in RULES} <= {title.lower() for title in sections}
    table = "".join(line for line in PAGE.splitlines(keepends=True) if line.startswith("| "))
    for name, row in RULES.items():
        assert f"`{name}`" in table
        assert all(
            f"`{parameter}" in PAGE or f"{parameter}=" in PAGE for parameter in row.parameters
        )


@pytest.mark.parametrize("rule", RULES)
def test_the_defaults_of_the_table_are_valid_and_recorded(
    rule: RuleName, retrieval: xr.Dataset
) -> None:
    needed: dict[str, Any] = {"prior": 0.2} if rule == "log_odds" else {}
    fused = xf.fuse(retrieval, retrieval, rule=rule, **needed)
    defaults = RULES[rule].defaults
    recorded = {k: v for k, v in defaults.items() if v is not None}
    assert {k: fused.attrs[f"fusion_{k}"] for k in recorded} == recorded
    xr.testing.assert_identical(
        fused, xf.fuse(retrieval, retrieval, rule=rule, **needed, **defaults)
    )


def test_errors_name_the_rules_and_parameters_of_the_table(retrieval: xr.Dataset) -> None:
    with pytest.raises(ValueError, match=re.escape(str(list(RULES)))):
        xf.fuse(retrieval, rule="median")  # type: ignore[arg-type]  # the point
    for rule, row in RULES.items():
        takes = re.escape(str(list(row.parameters) or "none"))
        with pytest.raises(TypeError, match=takes):
            xf.fuse(retrieval, rule=rule, no_such=1)  # type: ignore[arg-type]  # a name


def test_arguments_of_gaussian_have_the_defaults_of_the_table() -> None:
    arguments = inspect.signature(xf.gaussian).parameters
    assert {k: arguments[k].default for k in RULES["gaussian"].parameters} == RULES[
        "gaussian"
    ].defaults


@pytest.mark.parametrize("name", ["dataset", "others", "self", "correlation", "inflate", "prior"])
def test_a_rule_of_the_callers_own_may_have_parameters_of_any_name(
    name: str, retrieval: xr.Dataset
) -> None:
    arrived: list[Any] = []

    def rule(mu: Any, sigma: Any, _: Any, /, **parameters: Any) -> Any:
        arrived.append(parameters)
        return mu[0], sigma[0]

    fused = xf.fuse(retrieval, retrieval, rule=rule, **{name: "strong"})  # type: ignore[arg-type]  # of any name
    assert arrived == [{name: "strong"}]
    assert fused.attrs[f"fusion_{name}"] == "strong"


def test_only_the_retrieval_itself_is_positional_only(retrieval: xr.Dataset) -> None:
    functions: list[Any] = [xf.gaussian, xf.fuse, xf.flag_conflict, xf.exceedance, xf.merge_mask]
    for function in functions:
        name = "mask" if function is xf.merge_mask else "dataset"
        kinds = {p.name: p.kind for p in inspect.signature(function).parameters.values()}
        only = [k for k, kind in kinds.items() if kind is inspect.Parameter.POSITIONAL_ONLY]
        assert only == [name]
    assert xf.exceedance(retrieval, threshold=0.3).item() == 0.5
