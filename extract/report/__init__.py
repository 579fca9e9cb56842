"""One HTML file from a stored run: findings, quotes, interviews, the run itself, published figures beside its own."""
