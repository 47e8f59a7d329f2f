"""The command line: one file per verb, each a function that `app` registers."""
