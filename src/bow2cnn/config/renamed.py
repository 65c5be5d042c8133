"""Keys that had other names or places once. An old one is refused, and the message says the new one."""

from collections.abc import Iterator

from bow2cnn.config.messages import ConfigError

# Old key (`*` for a name that the user gives) -> its name now, in the same section.
RENAMED = {
    "discovery": "clustering",
    "marks": "watermarks",
    "features.max_side": "side",
    "retrieval.expansion": "max_expansion",
    "clustering.probe": "orphan_shortlist",
    "clustering.crawl": "view_shortlist",
    "clustering.min_tentative": "min_word_inliers",
    "clustering.bridge_inliers": "min_bridge_inliers",
    "pairs.pool": "nearest_cameras",
    "pairs.outsider_inliers": "background_max_inliers",
    "pairs.max_outsiders": "max_background",
    "experiments.*.redraw": "resample_positives",
    "experiments.*.per_model": "negative_mining",
    "experiments.*.one_negative_per_model": "negative_mining",
    "experiments.*.outsiders": "background_negatives",
    "experiments.*.pool_size": "negative_pool_size",
    "experiments.*.keep": "feature_distillation",
    "experiments.*.decay": "lr_decay",
    "experiments.*.average": "ema_decay",
}
# Old section at the top -> where its keys are now.
MOVED = {"description": "experiments.NAME.test"}


def check_renamed(config: dict) -> None:
    """Refuse a key by its old name, and a section at its old place.

    Raises:
        ConfigError: there is one; the message gives its new name or place.
    """
    for old, place in MOVED.items():
        if old in config:
            raise ConfigError(f"{old}: its keys are now in {place}, for every experiment its own")
    for old, new in RENAMED.items():
        *steps, key = old.split(".")
        for path, section in _sections(config, steps):
            if key in section:
                raise ConfigError(f"{'.'.join([*path, key])}: is now called {new}")


def _sections(config: object, steps: list[str], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict]]:
    """Those of the sections at a path, with their own paths, that the user wrote."""
    if not isinstance(config, dict):
        return
    if not steps:
        yield path, config
        return
    for name in config if steps[0] == "*" else steps[:1]:
        yield from _sections(config.get(name), steps[1:], (*path, name))
