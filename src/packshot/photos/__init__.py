"""The project's photos: adding, listing, anonymizing them, and the photo guide."""
