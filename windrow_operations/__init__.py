"""What one does with a deployed stage, as functions that return values: the commands and the tests call them."""
