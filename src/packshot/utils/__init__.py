"""What knows nothing of images, models or projects: files, progress, durations, validation."""
