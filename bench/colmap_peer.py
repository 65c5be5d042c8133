"""COLMAP's features and vocabulary tree, for the scripts that compare bow2cnn with COLMAP."""

import numpy as np
import pycolmap

FEATURES = 4096  # places per photo at most
WORDS = 16_384  # of the tree


def extract(database, images, threads):
    """Write SIFT features of all photos of a folder into a database."""
    settings = pycolmap.FeatureExtractionOptions(num_threads=threads, use_gpu=False)
    settings.sift.max_num_features = FEATURES
    pycolmap.extract_features(database, images, extraction_options=settings)


def build_tree(database, images, path, threads, sample):
    """Build a vocabulary tree from a number of descriptors of some images of an open database; returns its path."""
    descriptors = [database.read_descriptors(image) for image in images]
    everything = np.concatenate([np.asarray(getattr(found, "data", found)) for found in descriptors])
    rows = np.random.default_rng(0).choice(len(everything), min(sample, len(everything)), replace=False)
    tree = pycolmap.VisualIndex.create(128, 64)
    build = pycolmap.VisualIndex.BuildOptions(num_visual_words=WORDS, num_iterations=11, num_rounds=1, num_threads=threads)
    tree.build(build, pycolmap.FeatureDescriptorsFloat(pycolmap.FeatureExtractorType.SIFT, everything[rows].astype(np.float32)))
    tree.write(path)
    return path
