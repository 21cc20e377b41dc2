"""From a candidate to production and back."""
