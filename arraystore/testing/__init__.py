"""What tests of the store, and of code that stands on it, are made of; needs hypothesis."""
