"""How Packshot's bundled base is made: scenes are rendered, and a small model is trained on them."""
