"""Many products: the path of one product, over a table of them, on one machine or a Ray cluster."""
