"""The checklists of a release: their items as data, how each is decided, and who attests to what no program can see."""
