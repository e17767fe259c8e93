"""A fleet of fraud models, from training to checked answers, in about a minute."""
