"""What Packshot takes on a GPU, in one run of minutes: see `__main__.py`."""
