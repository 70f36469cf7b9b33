"""`proxia segment`: pictures in, label images and pictures out."""
