"""``python -m xfusion`` is the command ``xfusion``."""

from .cli import main

if __name__ == "__main__":
    main(prog_name="xfusion")
