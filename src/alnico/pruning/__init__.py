"""Networks made smaller: whole hidden units are removed."""
