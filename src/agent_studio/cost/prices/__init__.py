"""What models cost: a dated table of list prices, the spellings of their names, and a project's own prices."""
