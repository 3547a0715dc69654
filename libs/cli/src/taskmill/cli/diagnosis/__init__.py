"""What `taskmill doctor` looks at: a module for each part, which works with what it can reach."""
