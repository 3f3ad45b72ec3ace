"""Photo insertion compared with ground truth: the same backgrounds rendered with the product."""
