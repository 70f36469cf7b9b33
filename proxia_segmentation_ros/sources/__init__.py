"""Where frames come from: video, folder, bag or the synthetic street."""
