"""Results of any size in Zarr: written block by block, and gone on with where a run was killed."""
