"""Parts of the architectures' names. Free of torch."""

# Architectures that end in it fuse several scales of the image.
MULTI_SCALE_SUFFIX = "_mscale"
