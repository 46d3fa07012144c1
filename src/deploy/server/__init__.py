"""A page on this machine that searches an index; nothing of it comes from elsewhere."""
