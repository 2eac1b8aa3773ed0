"""From sample blocks to `vehicle` messages: the lane pipeline, classes, limits, calibration, conformity."""
