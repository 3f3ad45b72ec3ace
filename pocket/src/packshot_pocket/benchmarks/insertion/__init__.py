"""Photo-insertion against what is known: the same plates rendered with the product in them."""
