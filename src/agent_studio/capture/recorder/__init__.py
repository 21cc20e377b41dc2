"""The recorder: one append per event, as a small C program or its Python twin; its routes and its installation."""
