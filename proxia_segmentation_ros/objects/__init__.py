"""Connected regions of each class and what they tell: boxes, centroids, depth, position."""
