"""How faithful the bundled base is, and how faithful a LoRA on it is to a product.

The classifiers that measure it are trained here, on renders, independently of the base's own CLIP.
"""
