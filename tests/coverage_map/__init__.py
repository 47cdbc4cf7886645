"""What the tests run of the code, as a map: which files have to be covered whole, and why the others are not."""
