"""Sources of images: video, folder, bag, camera or the synthetic street."""
