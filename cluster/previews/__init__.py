"""What fits in a few bytes: previews of ours beside the hashes and tiny copies that pages show today."""
