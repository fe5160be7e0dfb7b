"""What is told of a picture, in words and maps: its limits, who finds it, and how it is coded exactly."""
