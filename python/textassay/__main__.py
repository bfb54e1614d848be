"""`python -m textassay`."""

from textassay.cli.app import main

main()
