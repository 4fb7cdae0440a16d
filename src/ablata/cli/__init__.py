"""The command line: parse, call, print. Imported by nobody; starts without torch."""
