"""Drawn places lit by a sun or an overcast sky, made to look like photographs: for the light estimator."""
