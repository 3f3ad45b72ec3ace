"""What happens on a GPU, on machines that have none: a simulated one with real numbers."""
