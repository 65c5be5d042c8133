"""`python -m bow2cnn`."""

from bow2cnn.cli import main

main()
