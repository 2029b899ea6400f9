"""`pnl-backend import`: what the Node server left behind, taken over. Files are read here; the store writes."""
