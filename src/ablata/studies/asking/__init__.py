"""Studies as users write them: on the command line, of commands, in YAML or TOML files; and their names."""
