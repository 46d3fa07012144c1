"""How well an estimator does what it is for: known false negatives, what estimators say of them, and a page."""
