"""What the notebooks compute: small experiments whose answer is known, and the losses taken apart."""
