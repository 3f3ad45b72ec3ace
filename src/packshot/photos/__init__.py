"""The project's photos: taken in, listed, anonymized, and what is missing in them."""
