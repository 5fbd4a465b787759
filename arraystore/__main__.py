"""`python -m arraystore`: the command line, where no script is on the path."""

from arraystore.cli import main

if __name__ == "__main__":
    main(prog_name="arraystore")
