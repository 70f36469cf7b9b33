"""Those who talk to a node: player, listener, session, probe and the processes around them."""
