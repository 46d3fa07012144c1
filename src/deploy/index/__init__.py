"""Your own code, searched with a trained model: an index of every function of some source trees."""
