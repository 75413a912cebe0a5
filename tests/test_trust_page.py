"""docs/trust.md is true: its code runs."""

import re
from pathlib import Path
from typing import Any

TEXT = (Path(__file__).parents[1] / "docs/trust.md").read_text()
CODE = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def test_code_of_the_page_runs() -> None:
    names: dict[str, Any] = {}
    exec("\n".join(CODE), names)  # noqa: S102  # the page is ours
    better = names["scores"].iou.sel(pixels="usable")
    alone = names["xf"].assess(names["s2"], names["water"]).iou.sel(pixels="usable")
    assert float(better) > float(alone)
