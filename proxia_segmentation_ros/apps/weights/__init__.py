"""`proxia weights` and `proxia convert`: list, download and convert weights."""
