"""The config: every key once (`model`, `experiment`), its reader (`load`), and the files that are written from it (`generate`)."""
