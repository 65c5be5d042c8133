"""Fine-tunes a network on tuples of a query, a positive and hard negatives, which the current network mines again in every epoch."""
