"""Language: the probability of the next token."""
