"""What the nodes of a cluster share: the stream of committed snapshots, the leader's lease, and the list of nodes."""
