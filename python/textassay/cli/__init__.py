"""The command line. Each file parses the options of one command, calls one function and prints."""
