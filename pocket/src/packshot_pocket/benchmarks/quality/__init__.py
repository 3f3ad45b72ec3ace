"""How faithful the bundled base is, and how faithful a LoRA on it is to a product.

What judges is trained here, on renders, and shares nothing with the base's own CLIP.
"""
