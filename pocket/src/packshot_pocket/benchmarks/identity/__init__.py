"""How well embedders tell a product from its look-alikes, on renders and on photographs."""
