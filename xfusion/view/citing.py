"""How to cite xfusion: what CITATION.cff says, which is not in an installed package."""

from __future__ import annotations

AUTHORS = "The xfusion developers"
PAPER_AUTHORS = (("Festa", "D."), ("Hassaan", "M."), ("Wagner", "W."))
PAPER = (
    "SAR and optical imagery for dynamic global surface water monitoring: addressing "
    "sensor-specific uncertainty for data fusion"
)
CONFERENCE = "EGU General Assembly 2026"
NUMBER = "EGU26-17524"
DOI = "10.5194/egusphere-egu26-17524"
YEAR = 2026
