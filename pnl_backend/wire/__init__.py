"""Every message and REST model: typed models, encoders and the documents that describe them."""
