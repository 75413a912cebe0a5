"""The example: a scene with a known truth, its items, their server, and the run."""

from .odds import fuse_odds
from .run import DemoResult, draw_panel, fuse_scene, run_demo
from .scene import write_scene
from .server import serve

__all__ = [
    "DemoResult",
    "draw_panel",
    "fuse_odds",
    "fuse_scene",
    "run_demo",
    "serve",
    "write_scene",
]
