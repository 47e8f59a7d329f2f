"""How good predictions are: metrics, intervals of a gain, and calibration. No model, no file."""
