"""All steps in order, from photos to the report: what is asked for, the steps, the receipt."""
