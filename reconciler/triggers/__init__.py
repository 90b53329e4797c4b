"""What wakes a loop: files, the ends of workers, and the time. None of it carries state."""
