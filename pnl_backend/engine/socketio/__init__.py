"""Socket.IO v5 beneath the API of python-socketio: namespaces, rooms, fan-out."""
