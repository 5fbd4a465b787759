"""`python -m layouts` prints the reference of shipped schemas."""

import sys

from layouts.reference import schemas_markdown

if __name__ == "__main__":
    sys.stdout.write(schemas_markdown())
