"""Array kernels: numpy and numba only, serial, without the GIL, cached on disk.

Nothing here knows xarray, dask or a file. A kernel works on one block; who splits an
array into blocks decides about threads (:mod:`xfusion.kernels.parallel` for arrays in
memory, dask for lazy ones).
"""
