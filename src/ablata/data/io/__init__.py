"""Reading image files: decoding, cropping, video."""
