"""What a page draws: forest plot, learning curves, bars, on one ground of scales and safe SVG."""
