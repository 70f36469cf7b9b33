"""Code that turns weights into a graph; its bytes are part of the key of the compiled cache."""
