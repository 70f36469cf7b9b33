"""`proxia demo`: play a source to a real node and draw the results."""
