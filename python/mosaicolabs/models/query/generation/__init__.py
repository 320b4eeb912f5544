"""The `.Q` of classes: fields of queries and their operators."""
