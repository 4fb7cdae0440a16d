"""`ablata data`: data sets checked, counted, drawn and converted."""
