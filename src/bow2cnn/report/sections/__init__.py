"""The sections of the page: each a module that says what is shown and a template of the same name that says how."""
