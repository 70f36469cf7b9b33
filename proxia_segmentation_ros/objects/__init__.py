"""Objects in label images: connected regions with boxes, centroids, depth and position."""
