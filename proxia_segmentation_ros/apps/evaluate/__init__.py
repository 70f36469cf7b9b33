"""`proxia evaluate`: evaluate weights on a data set."""
