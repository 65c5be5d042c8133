"""Whitening: a linear map after which descriptors of one place lie closer together than others."""
