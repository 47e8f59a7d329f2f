"""Pure functions on stacked tensors [k, ...]: the words that merge methods are written in.

They use the methods and operators of their arguments alone, so that no word needs torch.
"""
