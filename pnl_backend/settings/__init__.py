"""The settings: their model, the files and names they are read from, and the texts of their errors."""
