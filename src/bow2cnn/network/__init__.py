"""Networks that turn a photo into one descriptor: what they see of it (`input`), backbone, pooling, L2 norm."""
