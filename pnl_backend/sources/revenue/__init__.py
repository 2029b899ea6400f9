"""John's invoiced and collected revenue."""
