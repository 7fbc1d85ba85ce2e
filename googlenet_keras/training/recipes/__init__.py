"""One file for each training and its result; a new file here is a new name for ``--recipe``."""
