"""Merge methods: one file and one pure function each; the signature is the whole interface.

A method sees one tensor of every model at a time, stacked to [k, ...], and gives [...]. It knows
no file, device or model class, and can be read without torch.
"""

from __future__ import annotations

from alnico.methods import arcee_fusion as arcee_fusion
from alnico.methods import breadcrumbs as breadcrumbs
from alnico.methods import breadcrumbs_ties as breadcrumbs_ties
from alnico.methods import dare_linear as dare_linear
from alnico.methods import dare_ties as dare_ties
from alnico.methods import della as della
from alnico.methods import della_linear as della_linear
from alnico.methods import karcher as karcher
from alnico.methods import linear as linear
from alnico.methods import model_stock as model_stock
from alnico.methods import multislerp as multislerp
from alnico.methods import nearswap as nearswap
from alnico.methods import nuslerp as nuslerp
from alnico.methods import passthrough as passthrough
from alnico.methods import ram as ram
from alnico.methods import ramplus_tl as ramplus_tl
from alnico.methods import sce as sce
from alnico.methods import slerp as slerp
from alnico.methods import task_arithmetic as task_arithmetic
from alnico.methods import ties as ties
from alnico.methods._method import Fraction, Method, Range, method, methods, per_model

__all__ = ["Fraction", "Method", "Range", "method", "methods", "per_model"]
