"""Merge methods: one file and one pure function each; the signature is the whole interface.

A method sees one tensor of every model at a time, stacked to [k, ...], and gives [...]. It knows
no file, device or model class, and can be read without torch.
"""

from __future__ import annotations

from alnico.methods import linear as linear
from alnico.methods import slerp as slerp
from alnico.methods import task_arithmetic as task_arithmetic
from alnico.methods import ties as ties
from alnico.methods._method import Fraction, Method, Range, method, methods, per_model

__all__ = ["Fraction", "Method", "Range", "method", "methods", "per_model"]
