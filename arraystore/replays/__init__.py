"""Many datasets as one sequence of events: merged by a clock, in bounded memory, the same to the last tie every time."""
