"""`proxia demo`: the whole path once, with pictures of it."""
