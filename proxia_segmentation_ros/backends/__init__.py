"""Backends that run the network: the contract, shared code, and a folder for each backend."""
