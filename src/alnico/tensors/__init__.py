"""Pure functions on stacked tensors [k, ...]: the words that merge methods are written in."""
