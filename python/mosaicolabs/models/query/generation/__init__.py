"""The `.Q` of classes: which fields queries can name, and their operators."""
