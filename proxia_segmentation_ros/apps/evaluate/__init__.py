"""`proxia evaluate`: scores of weights on a data set."""
