"""Engine.IO v4 beneath python-socketio, and the connections that every feed shares; knows nothing of P&L."""
