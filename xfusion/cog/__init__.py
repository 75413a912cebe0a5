"""Results as cloud-optimised GeoTIFFs, with a STAC item beside them."""
