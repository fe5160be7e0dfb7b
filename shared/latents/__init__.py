"""Latent codecs: what stands between analysis and synthesis, the same code in training and in coding."""
