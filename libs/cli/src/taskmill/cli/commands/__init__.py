"""The commands: a module for each group. `taskmill.cli.registry` names them, and loads the one that is called."""
