"""Photo-insertion against what is known: the same backgrounds rendered with the product in them."""
