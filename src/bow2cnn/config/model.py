"""Every key of a run's config once: its type, its default, its limits and its meaning.

`make config` writes the schema for editors, the demo's `config.yaml` and `docs/config.md` from it.
"""

from typing import Literal

from pydantic import Field

from bow2cnn.config.base import Name, Section, UserPath, key, section
from bow2cnn.config.experiment import Experiment


class Shards(Section):
    """Into how many jobs the big stages are cut; larger collections need more."""

    photos: int = key(
        4,
        "Number of jobs for features and visual words. Some thousand photos per job are a good size. Another number computes all features "
        "again.",
        ge=1,
        le=100000,
    )
    sketches: int = key(1, "Number of jobs for the min-hash.", ge=1, le=100000)
    clusters: int = key(4, "Number of jobs for the 3D reconstruction.", ge=1, le=100000)


class Collection(Section):
    """Which files count as photos."""

    min_side: int = key(64, "Photos with a shorter side below this are left out (pixels).", ge=1)
    max_pixels: int = key(
        100_000_000,
        "Photos with more pixels than this are left out. The largest allowed value is the limit of Pillow, which reads the photos.",
        ge=1,
        le=178_956_970,
    )
    follow_links: bool = key(
        False, "Follow symbolic links below the folders of photos, wherever they lead. false leaves them out and counts them."
    )


class Features(Section):
    """Local features (SIFT)."""

    max_features: int = key(3000, "Maximum number of features per photo; the strongest are kept.", ge=1)
    side: int = key(
        1024,
        "Every photo is resized to this longer side before features are detected, small photos too, so that copies of different sizes give "
        "the same features (pixels). 0 detects them at the size of the file.",
        ge=0,
        le=16384,
    )
    affine: bool = key(False, "Estimate an affine shape for every feature. COLMAP does it, and it takes longer.")
    upright: bool = key(
        False,
        "Use the orientation of the photo for all features and do not estimate one for each. This finds more matches, but none in photos "
        "that lie on their side.",
    )


class Vocabulary(Section):
    """Visual words."""

    words: int = key(
        0,
        "Number of visual words. 0 takes one per 64 features of the collection, rounded to a power of two from 2^14 to 2^20.",
        ge=0,
        le=67_108_864,
    )
    sample: int = key(
        32_000_000,
        "Maximum number of features that train the vocabulary, drawn at random. 30 per visual word are used; the collection must have 30 "
        "features for one word.",
        ge=1000,
    )
    iterations: int = key(12, "Number of k-means iterations on each of the two levels of the vocabulary.", ge=1)


class Watermarks(Section):
    """Watermarks. Their features are left out of the index."""

    min_photos: int = key(
        4, "Minimum number of photos in which a visual word recurs at the same place to be a possible part of a watermark.", ge=2
    )


class Retrieval(Section):
    """The teacher: bag of words with spatial verification."""

    soft_words: int = key(
        3,
        "Number of visual words per feature of a query that is not in the collection (soft assignment, Philbin et al., CVPR 2008). 1 "
        "disables it.",
        ge=1,
        le=16,
    )
    shortlist: int = key(100, "Number of top-ranked photos of a query that are verified by geometry.", ge=1)
    max_hamming: int = key(
        24, "Two features of the same visual word match if their 64-bit signatures differ in at most this number of bits.", ge=0, le=64
    )
    min_inliers: int = key(
        0,
        "Minimum number of inliers of a verified photo. 0 calibrates it by unrelated photos of the collection, so that a query without a "
        "matching photo hardly ever finds a verified one. The rankings of the benchmarks then use geometry from 4 inliers on.",
        ge=0,
    )
    max_expansion: int = key(10, "Maximum number of verified photos that expand a query (query expansion). 0 disables it.", ge=0)
    expansion_inliers: int = key(15, "Minimum number of inliers of a verified photo that expands a query.", ge=4)


class Clustering(Section):
    """Clusters of photos: seeds by min-hash, grown by verified retrieval."""

    sketch_size: int = key(3, "Number of min-hashes per sketch. More make seeds rarer and more reliable.", ge=1, le=100)
    sketches: int = key(512, "Number of sketches per photo. More find more seeds.", ge=1, le=1_000_000)
    min_similarity: float = key(0.02, "Minimum estimated similarity (Jaccard, 0 to 1) of a pair that becomes a seed.", ge=0, le=1)
    orphan_shortlist: int = key(
        5,
        "For photos without a seed: number of their top-ranked photos to verify. 0 disables this; recommended for millions of photos, "
        "where these queries take longer than everything else.",
        ge=0,
    )
    view_shortlist: int = key(
        5,
        "For photos in a group: number of photos outside the group to verify, ranked by parts of the photo (its sides, details, its "
        "largest features; Schönberger et al., CVPR 2015). 0 disables this.",
        ge=0,
    )
    neighbour_shortlist: int = key(
        20,
        "For photos that match at least two of the same photos, but have not been compared with each other: number of such photos to "
        "verify with each photo, by all features. 0 disables this.",
        ge=0,
    )
    min_word_inliers: int = key(
        4, "Minimum number of inliers among the matches of visual words for a pair to be verified with all features.", ge=3
    )
    min_inliers: int = key(
        12,
        "Minimum number of inliers that join two photos. They must lie at different places (2 % of the longer side apart) and agree in "
        "size and direction.",
        ge=4,
    )
    min_bridge_inliers: int = key(
        30,
        "A pair that joins two groups needs at least this number of inliers for a 3D model to be built across it. Inliers at the same "
        "place in both photos do not count.",
        ge=0,
    )
    min_photos: int = key(5, "Minimum number of photos per cluster. Smaller clusters are dropped.", ge=2)


class Reconstruction(Section):
    """3D models of the clusters."""

    min_photos: int = key(5, "Minimum number of photos per 3D model. Smaller models are dropped.", ge=3)
    mapper: Literal["incremental", "global"] = key(
        "incremental",
        "How COLMAP reconstructs a cluster. incremental: photo by photo. global: all photos at once, which is faster for large clusters. "
        "Models of an earlier run are always extended photo by photo.",
    )


class Split(Section):
    """Which 3D models train and which validate."""

    validation: float = key(
        0.2,
        "Share of the places for validation. Places with doubtful pairs between them (pairs that the clustering cut) count as one.",
        gt=0,
        lt=1,
    )
    contamination_inliers: int = key(
        15,
        "A photo with at least this number of inliers to a photo of a benchmark shows the same place, so its 3D model is dropped.",
        ge=4,
    )


class Pairs(Section):
    """The training database."""

    min_shared: int = key(10, "Minimum number of 3D points that a positive has in common with its query.", ge=1)
    nearest_cameras: int = key(
        100, "Number of photos of the 3D model that may be positives of a query: those whose cameras are nearest to its camera.", ge=1
    )
    max_queries: int = key(60, "Maximum number of queries per 3D model.", ge=1)
    query_fraction: float = key(
        1.0, "Largest share of the photos of a 3D model that are queries. The paper takes 0.1, and at most 30 queries.", gt=0, le=1
    )
    background_max_inliers: int = key(
        5,
        "A background photo (outside every cluster) is not a negative of a place if the teacher finds more than this number of inliers "
        "between it and a photo of the place.",
        ge=0,
    )
    max_background: int = key(
        100_000, "Maximum number of background photos (outside every cluster) that are used as negatives, drawn at random.", ge=0
    )


class Evaluation(Section):
    """The table of results."""

    bootstrap: int = key(2000, "Number of bootstrap resamplings for the 95 % intervals.", ge=100, le=1_000_000)
    expansion_photos: int = key(50, "Number of photos that expand a query in the step expanded (TPAMI 2018).", ge=1)
    expansion_alpha: float = key(
        3.0,
        "Exponent of the step expanded: a photo has the weight similarity ^ expansion_alpha (TPAMI 2018). 0 gives all of them the same "
        "weight, as average query expansion does.",
        ge=0,
        le=1000,
    )


class Benchmark(Section):
    """One retrieval benchmark with ground truth."""

    photos: UserPath = key(..., "The folder with its photos.")
    gnd: UserPath = key(..., "Its ground truth (gnd.json).")
    distractors: list[UserPath] = key([], "Folders with photos that show none of its places. They make its database larger.")


class Config(Section):
    """The config of a run."""

    photos: list[UserPath] = key(
        ..., "The folders with the photos. They are searched with all folders below them and never changed.", min_length=1
    )
    database: UserPath | None = key(
        None,
        "A training database that you have, in the layout of cnnimageretrieval (retrieval-SfM-*.pkl); its photos lie in the folders of "
        "`photos` (its ims). The run then only trains and compares networks. null finds the training pairs.",
    )
    models: UserPath | None = key(
        None,
        "A folder with COLMAP models that you have (at any depth) of the photos in the folders of `photos`. Photos are found by their "
        "paths below these folders, or by an end of a path that only one photo has. The run then leaves out clustering and reconstruction. "
        "null builds the models.",
    )
    results: UserPath = key("results", "The folder for the results of this run.")
    seed: int = key(0, "Seed of all random choices.", ge=0)
    threads: int = key(
        2, "Threads of the libraries inside a job. Results may depend on it in the last digits, so it is not --cores.", ge=1, le=256
    )
    device: Literal["cpu", "cuda"] = key("cpu", "Where networks are trained and applied. The results of the two differ in the last digits.")
    shards: Shards = section(Shards)
    collection: Collection = section(Collection)
    features: Features = section(Features)
    vocabulary: Vocabulary = section(Vocabulary)
    watermarks: Watermarks = section(Watermarks)
    retrieval: Retrieval = section(Retrieval)
    clustering: Clustering = section(Clustering)
    reconstruction: Reconstruction = section(Reconstruction)
    split: Split = section(Split)
    pairs: Pairs = section(Pairs)
    evaluation: Evaluation = section(Evaluation)
    experiments: dict[Name, Experiment] = Field(
        default_factory=lambda: {"gem": Experiment()}, description="The networks to fine-tune, each under a name of your choice."
    )
    benchmarks: dict[Name, Benchmark] = Field(
        default_factory=dict,
        description="Retrieval benchmarks with ground truth, each under a name of your choice. Nothing is trained on them: the split drops "
        "3D models that show their places.",
    )
