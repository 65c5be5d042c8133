"""The sections of the page. Each has a module, which collects what is shown, and a template of the same name, which shows it."""
