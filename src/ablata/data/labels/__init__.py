"""Label files: class tables, maps, layouts."""
