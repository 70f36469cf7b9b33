"""What stands in the street: buildings, plants, people, vehicles."""
