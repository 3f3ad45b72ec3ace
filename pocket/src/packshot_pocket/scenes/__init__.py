"""The rendered scenes on which the bundled base is trained: cars and things in a few settings."""
