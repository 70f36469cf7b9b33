"""What runs a network: the contract, and one folder for each that fulfils it."""
