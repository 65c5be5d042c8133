"""Siamese learning: a network fine-tuned on mined pairs, with hard negatives mined again by the network of the moment."""
