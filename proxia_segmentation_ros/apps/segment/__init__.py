"""`proxia segment`: segment image files and write labels and pictures."""
