"""The judge: which checkpoint and which weight are faithful to the product, and how sure that is."""
