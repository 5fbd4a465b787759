"""What is in a store, to look at: figures, pages and cards for people. Nothing here changes anything."""
