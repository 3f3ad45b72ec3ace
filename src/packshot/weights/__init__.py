"""Reading weight files safely (no pickle, no code), from disk or the hub. Knows no model family."""
