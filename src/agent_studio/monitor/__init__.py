"""What the records of an environment say: figures, limits, alerts, comparison, retention."""
