"""The board: the lab in a browser, drawn on the server; nothing comes from outside."""
