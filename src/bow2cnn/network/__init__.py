"""Convolutional networks that turn a photo into one descriptor: backbone, pooling, L2 norm."""
