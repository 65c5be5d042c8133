"""The sides of the split, which places, 3D models and photos are on: their numbers in artefacts, and their names."""

DROPPED, TRAIN, VALIDATION = 0, 1, 2
SIDES = {DROPPED: "dropped", TRAIN: "training", VALIDATION: "validation"}
