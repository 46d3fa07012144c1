"""The experiments of the notebooks: toys whose answer is known, and the losses in detail."""
