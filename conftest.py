"""What all tests have, doctests of the package included."""

pytest_plugins = ["tests.working_directory", "tests.kernel_warming"]
