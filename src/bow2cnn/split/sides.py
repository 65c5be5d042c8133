"""On which side of the split a place, a 3D model or a photo is: the numbers that artefacts hold, and their names."""

DROPPED, TRAIN, VALIDATION = 0, 1, 2
SIDES = {DROPPED: "dropped", TRAIN: "training", VALIDATION: "validation"}
