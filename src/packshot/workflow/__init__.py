"""Running all steps in order, from photos to the report."""
