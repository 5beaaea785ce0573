"""Floor 0: types, keys, shapes and errors that every room shares."""
