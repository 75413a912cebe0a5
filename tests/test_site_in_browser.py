"""What the script of the site does to its pages."""

import base64
from pathlib import Path

from .browser import browser_in

DOCS = Path(__file__).parents[1] / "docs"


def test_pictures_open_alone_unless_they_are_within_the_page(tmp_path: Path) -> None:
    picture = DOCS / "_static" / "water.png"
    within = base64.b64encode(picture.read_bytes()).decode()
    page = tmp_path / "page.html"
    page.write_text(
        f'<script src="{(DOCS / "_static" / "site.js").as_uri()}"></script>'
        '<p id="panels" data-ready="yes"><article class="bd-article">'
        f'<img src="{picture.as_uri()}"><img src="data:image/png;base64,{within}"></article>'
    )
    with browser_in(tmp_path / "profile") as browser:
        browser.open(page)
        links = "return [...document.images].map((one) => one.closest('a')?.href ?? null)"
        assert browser.run(links) == [picture.as_uri(), None]
        wide = "return document.querySelector('a').classList.contains('wide-picture')"
        browser.wait_for(wide)
