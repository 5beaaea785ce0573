"""Floor 5: pictures and tables, made from arrays and result files only."""
