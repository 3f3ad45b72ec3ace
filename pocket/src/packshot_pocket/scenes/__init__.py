"""The rendered world that the bundled base model learns from: cars in a few settings."""
