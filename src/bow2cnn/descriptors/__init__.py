"""Global descriptors of photos by a network, and the steps after them."""
