"""Networks that turn a photo into one descriptor: their input, backbone, pooling and L2 norm."""
