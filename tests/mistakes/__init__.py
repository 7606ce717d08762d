"""Mistakes in using runstate and the legacy trackers, each a small function, and what finds them.

The functions are read by type checkers, and run where the run-time walls are tested. In each:

- the name is the mistake's id, and the docstring's first line describes it;
- `# wrong` marks the lines on which a checker may complain; it must have nothing to say of any other line;
- parameters are filled by their names, see `walls.py`;
- a paragraph `Why:` says why mypy does not find it, and stands exactly where it does not;
- a paragraph `Unchecked:` says why nothing refuses it at run time, and stands exactly where nothing does.
"""
