"""General utilities, independent of images, models and projects: files, progress, durations, validation."""
