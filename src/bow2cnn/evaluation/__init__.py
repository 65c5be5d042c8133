"""How good a ranking is, by the field's protocols."""
