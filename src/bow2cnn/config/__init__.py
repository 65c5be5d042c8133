"""The config: every key once (`model`, `experiment`), its reader (`load`), and what is written from it (`generate`)."""
